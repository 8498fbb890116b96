// The form of Draw: only what differs from the defaults, kept by the browser.
import type { Request } from '../api/types';
import { catalog } from './schema.svelte';
import { recall, remember } from './storage';

type Values = Record<string, unknown>;
const HISTORY = 60;

export type Past = { prompt: string; negative_prompt: string };

class Form {
  values = $state<Values>(recall<Values>('form', {}));
  history = $state<Past[]>(recall<Past[]>('history', []));
  folds = $state<Record<string, boolean>>(recall('folds', {}));

  get(name: string): unknown {
    return name in this.values ? this.values[name] : catalog.byName.get(name)?.default;
  }

  text(name: string): string {
    return String(this.get(name) ?? '');
  }

  set(name: string, value: unknown): void {
    const usual = catalog.byName.get(name)?.default;
    if (JSON.stringify(value) === JSON.stringify(usual)) delete this.values[name];
    else this.values[name] = value;
    this.save();
  }

  /** Everything at once; what is not named goes back to its default.  Returns a way back. */
  fill(request: Request): () => void {
    const before = $state.snapshot(this.values) as Values;
    this.values = {};
    for (const [name, value] of flatten(request)) if (value !== null && value !== undefined) this.set(name, value);
    this.save();
    return () => {
      this.values = before;
      this.save();
    };
  }

  clear(): () => void {
    return this.fill({});
  }

  /** The request to send: nested where names have dots. */
  request(): Request {
    const request: Request = { prompt: '' };
    for (const [name, value] of Object.entries($state.snapshot(this.values))) place(request, name.split('.'), value);
    return request;
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

function* flatten(values: Record<string, unknown>, prefix = ''): Generator<[string, unknown]> {
  for (const [key, value] of Object.entries(values)) {
    if (value && typeof value === 'object' && !Array.isArray(value)) {
      yield* flatten(value as Record<string, unknown>, `${prefix}${key}.`);
    } else yield [prefix + key, value];
  }
}

function place(target: Record<string, unknown>, path: string[], value: unknown): void {
  const [first = '', ...rest] = path;
  if (rest.length === 0) target[first] = value;
  else place((target[first] ??= {}) as Record<string, unknown>, rest, value);
}

export const form = new Form();
