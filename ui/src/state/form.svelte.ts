// Forms of parameters: only what differs from the defaults, kept by the browser.
import { getContext, setContext } from 'svelte';
import type { Parameter, Request } from '../api/types';
import { flatten, place } from './names';
import { catalog } from './schema.svelte';
import { recall, remember } from './storage';

type Values = Record<string, unknown>;

/**
 * key: what the browser keeps it under.  takes: what it has fields for; the rest of a picture's text is not taken over.
 * own: its own defaults, over the service's.
 */
type Kind = { key: string; takes: (parameter: Parameter) => boolean; own?: Values };

export class Form {
  values = $state<Values>({});
  folds = $state<Record<string, boolean>>({});
  readonly #kind: Kind;

  constructor(kind: Kind) {
    this.#kind = kind;
    this.values = recall<Values>(kind.key, {});
    this.folds = recall(`${kind.key}.folds`, {});
  }

  get(name: string): unknown {
    return name in this.values ? this.values[name] : this.usual(name);
  }

  usual(name: string): unknown {
    const own = this.#kind.own ?? {};
    return name in own ? own[name] : catalog.usual(name);
  }

  text(name: string): string {
    return String(this.get(name) ?? '');
  }

  set(name: string, value: unknown): void {
    if (JSON.stringify(value) === JSON.stringify(this.usual(name))) delete this.values[name];
    else this.values[name] = value;
    this.save();
  }

  /** Everything at once; what is not named goes back to its default.  Returns a way back. */
  fill(request: Request): () => void {
    const before = $state.snapshot(this.values) as Values;
    this.values = {};
    // What the text does not say was the program's default, whatever the service's form begins with.
    for (const name of Object.keys(request).length ? Object.keys(catalog.defaults) : []) this.set(name, catalog.byName.get(name)?.default ?? null);
    for (const [name, value] of flatten(request)) if (value !== null && value !== undefined && this.#takes(name)) this.set(name, value);
    this.save();
    return () => {
      this.values = before;
      this.save();
    };
  }

  clear(): () => void {
    return this.fill({});
  }

  /** The request to send: nested where names have dots; an object whose switch is off is left out. */
  request(): Request {
    const request: Request = { prompt: '' };
    const values = { ...$state.snapshot(catalog.defaults), ...this.#kind.own, ...$state.snapshot(this.values) };
    for (const [name, value] of Object.entries(values)) if (this.on(name)) place(request, name.split('.'), value);
    return request;
  }

  #takes(name: string): boolean {
    const parameter = catalog.byName.get(name);
    return parameter !== undefined && this.#kind.takes(parameter);
  }

  private on(name: string): boolean {
    const path = name.split('.');
    const whole = `${path[0]}.enabled`;
    return path.length === 1 || !catalog.byName.has(whole) || this.get(whole) === true;
  }

  fold(name: string, open: boolean): void {
    this.folds[name] = open;
    remember(`${this.#kind.key}.folds`, this.folds);
  }

  private save(): void {
    remember(this.#kind.key, this.values);
  }
}

export const form = new Form({ key: 'form', takes: (one) => one.group !== 'edit' });
// The picture decides the size, and the mask is inverted with a tool of the editor.
export const editForm = new Form({
  key: 'edit',
  takes: (one) => one.kind !== 'image' && one.name !== 'mask_invert',
  own: { width: null, height: null },
});

const FORM = Symbol('form');

/** Which form the fields of a component and those in it belong to. */
export function provideForm(which: Form): void {
  setContext(FORM, which);
}

export function useForm(): Form {
  return getContext<Form | undefined>(FORM) ?? form;
}
