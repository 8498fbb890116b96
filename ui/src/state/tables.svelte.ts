// What lies on the sheet of a tab: the jobs that belong to it, and which of them is shown.
import type { Job } from '../api/types';
import { isCell, isPass, jobs } from './jobs.svelte';
import { recall, remember } from './storage';

export class Table {
  pinned = $state<string | null>(null); // the job a person wants to see
  readonly #key: string;
  readonly #belongs: (job: Job) => boolean;

  /** Newest first. */
  list = $derived.by(() => jobs.drawings.filter((job) => this.#belongs(job)));
  shown = $derived.by(
    () =>
      this.list.find((job) => job.id === this.pinned) ??
      this.list.find((job) => job.state === 'running') ??
      this.list.findLast((job) => job.state === 'queued') ??
      this.list[0],
  );

  constructor(key: string, belongs: (job: Job) => boolean) {
    this.#key = key;
    this.#belongs = belongs;
    this.pinned = recall<string | null>(key, null);
  }

  pin(id: string | null): void {
    this.pinned = id;
    remember(this.#key, id);
  }
}

/** Drawn from a picture; one that was only enlarged stays where it was drawn. */
function redraws({ request }: Job): boolean {
  return request['init_image'] !== undefined && !(request['hires'] && request['denoising_strength'] === 0);
}

function isSingle(job: Job): boolean {
  return !isCell(job) && !isPass(job);
}

export const drawTable = new Table('pinned', (job) => isSingle(job) && !redraws(job));
export const editTable = new Table('edit.pinned', (job) => isSingle(job) && redraws(job));
export const enlargeTable = new Table('enlarge.pinned', isPass);
