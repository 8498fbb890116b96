// How large and by what: the form of the tab, kept by the browser, and the question to the service that it makes.
import type { EnlargePlan } from '../api/types';
import { catalog } from '../state/schema.svelte';
import { recall, remember } from '../state/storage';
import type { Source } from './enlarging.svelte';

const KEY = 'enlarge';
const PLAIN = {
  to: 2048 as number | null, // pixels of the longer side; null: scale counts
  typed: false, // to is one's own number, not one of those offered
  scale: 2,
  upscaler: '', // "": the best there is
  redraw: true,
  strength: 0.35,
  keep_structure: 0.75,
  noise_inversion: true,
  road: '',
  tile: null as number | null,
  overlap: null as number | null,
  prompt: null as string | null, // null: the words of quality of the picture's own
  whole_prompt: false,
  negative_prompt: null as string | null,
  model: '',
  restore_faces: '', // of the picture that the last pass makes; "": not
};
export type Values = typeof PLAIN;

class Wish {
  values = $state<Values>({ ...PLAIN, ...recall<Partial<Values>>(KEY, {}) });

  set<K extends keyof Values>(name: K, value: Values[K]): void {
    this.values[name] = value;
    remember(KEY, this.values);
  }

  clear(): () => void {
    const before = $state.snapshot(this.values);
    this.#take({ ...PLAIN });
    return () => this.#take(before);
  }

  /** What the service plans by. */
  question({ width, height, infotext }: Source): Record<string, unknown> {
    const { to, typed: _, restore_faces: __, scale, upscaler, road, model, ...rest } = $state.snapshot(this.values);
    const size = to === null ? { scale } : { to };
    return { width, height, infotext, ...size, upscaler: upscaler || null, road: road || null, model: model || null, ...rest };
  }

  /** The plan with what the service does not plan: faces are restored once, at the last size. */
  finished(plan: EnlargePlan): EnlargePlan {
    const { restore_faces } = this.values;
    const last = plan.passes.at(-1);
    if (!last || !restore_faces || !catalog.byName.has('restore_faces')) return plan;
    return { ...plan, passes: [...plan.passes.slice(0, -1), { ...last, request: { ...last.request, restore_faces } }] };
  }

  #take(values: Values): void {
    this.values = values;
    remember(KEY, values);
  }
}

export const wish = new Wish();
