// The form of Draw: only what differs from the defaults, kept by the browser.
import type { Request } from '../api/types';
import { flatten, place } from './names';
import { catalog } from './schema.svelte';
import { recall, remember } from './storage';

type Values = Record<string, unknown>;
const HISTORY = 60;

/** What Draw has no field for is not taken over from a picture's text: it needs the picture it was made from. */
function drawn(name: string): boolean {
  const group = catalog.byName.get(name)?.group;
  return group !== undefined && group !== 'edit';
}

export type Past = { prompt: string; negative_prompt: string };

class Form {
  values = $state<Values>(recall<Values>('form', {}));
  history = $state<Past[]>(recall<Past[]>('history', []));
  folds = $state<Record<string, boolean>>(recall('folds', {}));

  get(name: string): unknown {
    return name in this.values ? this.values[name] : catalog.usual(name);
  }

  text(name: string): string {
    return String(this.get(name) ?? '');
  }

  set(name: string, value: unknown): void {
    if (JSON.stringify(value) === JSON.stringify(catalog.usual(name))) delete this.values[name];
    else this.values[name] = value;
    this.save();
  }

  /** Everything at once; what is not named goes back to its default.  Returns a way back. */
  fill(request: Request): () => void {
    const before = $state.snapshot(this.values) as Values;
    this.values = {};
    // What the text does not say was the program's default, whatever the service's form begins with.
    for (const name of Object.keys(request).length ? Object.keys(catalog.defaults) : []) this.set(name, catalog.byName.get(name)?.default ?? null);
    for (const [name, value] of flatten(request)) if (value !== null && value !== undefined && drawn(name)) this.set(name, value);
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
    const values = { ...$state.snapshot(catalog.defaults), ...$state.snapshot(this.values) };
    for (const [name, value] of Object.entries(values)) if (this.on(name)) place(request, name.split('.'), value);
    return request;
  }

  private on(name: string): boolean {
    const path = name.split('.');
    const whole = `${path[0]}.enabled`;
    return path.length === 1 || !catalog.byName.has(whole) || this.get(whole) === true;
  }

  toPast(): void {
    const past = { prompt: this.text('prompt'), negative_prompt: this.text('negative_prompt') };
    const others = this.history.filter((one) => JSON.stringify(one) !== JSON.stringify(past));
    this.history = [past, ...others].slice(0, HISTORY);
    remember('history', this.history);
  }

  fold(name: string, open: boolean): void {
    this.folds[name] = open;
    remember('folds', this.folds);
  }

  private save(): void {
    remember('form', this.values);
  }
}

export const form = new Form();
