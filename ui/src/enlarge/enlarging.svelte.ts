// The picture that is enlarged, and the enlarging under way: every pass is a job that starts from the one before.
import { get, ServiceError, upload } from '../api/client';
import { picturesOf, type EnlargePlan, type Inspection, type Item, type Job, type Pass } from '../api/types';
import { dataUri } from '../edit/raster';
import { fetchKept, keep } from '../state/database';
import { isLive, jobs } from '../state/jobs.svelte';
import { notices } from '../state/notices.svelte';
import { enlargeTable } from '../state/tables.svelte';

/** infotext: what the picture says of itself. */
export type Source = { blob: Blob; width: number; height: number; infotext: string };

/** source: what the first pass starts from.  jobs: of the passes that were handed in. */
type Run = { id: string; source: Blob; passes: Pass[]; jobs: string[]; stopped: boolean };
export type Step = { pass: Pass; job: Job | undefined };

const BUSY_S = 2; // until the next attempt where the service names no time

class Enlarging {
  source = $state.raw<Source | null>(null);
  run = $state.raw<Run | null>(null);
  #handing = '';
  #restored: Promise<void> | null = null;

  steps = $derived.by((): Step[] => {
    const run = this.run;
    return run ? run.passes.map((pass, index) => ({ pass, job: jobs.all[run.jobs[index] ?? ''] })) : [];
  });
  live = $derived(this.run !== null && !this.run.stopped && !this.result);

  constructor() {
    $effect.root(() => {
      $effect(() => {
        if (this.#due()) void this.#go();
      });
    });
  }

  /** What the last pass made. */
  get result(): Item | undefined {
    return picturesOf(this.steps.at(-1)?.job)[0];
  }

  /** What an earlier visit left; an enlarging is gone on with. */
  restore(): Promise<void> {
    this.#restored ??= this.#restore().catch(() => undefined); // what cannot be read is forgotten
    return this.#restored;
  }

  async #restore(): Promise<void> {
    this.source ??= await fetchKept<Source>('enlarge.source');
    const run = await fetchKept<Run>('enlarge.run');
    if (!run || this.run) return;
    for (const id of run.jobs) if (!jobs.all[id]) await get<Job>(`jobs/${id}`).then((job) => jobs.answered(job), () => undefined);
    this.run = run;
  }

  /** Another picture.  Returns a way back to the one before, if there was one. */
  async open(blob: Blob): Promise<(() => void) | null> {
    await this.restore();
    const { width, height, infotext } = await upload<Inspection>('inspect', blob);
    const before = this.source;
    this.#take({ blob, width: width ?? 0, height: height ?? 0, infotext });
    return before ? () => this.#take(before) : null;
  }

  async begin({ passes }: EnlargePlan): Promise<void> {
    if (!this.source) return;
    await this.cancel();
    const id = `enlarging-${Date.now()}-${Math.random().toString(36).slice(2, 8)}`;
    this.#keep({ id, source: this.source.blob, passes, jobs: [], stopped: false });
  }

  /** Hands the pass that failed or was cancelled in once more. */
  async again(): Promise<void> {
    const run = this.run;
    if (run) this.#keep({ ...run, id: `${run.id}+`, jobs: run.jobs.slice(0, -1), stopped: false });
  }

  async cancel(): Promise<void> {
    if (!this.run) return;
    const last = this.steps[this.run.jobs.length - 1]?.job;
    this.#keep({ ...this.run, stopped: true });
    if (last && isLive(last)) await jobs.cancel(last.id);
  }

  /** Whether the next pass can be handed in, or none will be any more. */
  #due(): boolean {
    const run = this.run;
    if (!run || run.stopped || run.jobs.length === run.passes.length) return false;
    return run.jobs.length === 0 || !isLive(this.steps[run.jobs.length - 1]?.job);
  }

  async #go(): Promise<void> {
    const run = this.run;
    if (!run || this.#handing === key(run)) return;
    this.#handing = key(run);
    try {
      const last = run.jobs.length ? this.steps[run.jobs.length - 1]?.job : null;
      const made = picturesOf(last ?? undefined)[0]?.picture;
      if (last !== null && (last?.state !== 'done' || last.interrupted || !made)) return this.#keep({ ...run, stopped: true });
      await this.#handIn(run, made ?? (await dataUri(run.source)));
    } finally {
      this.#handing = '';
    }
  }

  /** The same key is the same job, so nothing is drawn twice; where the line is full it is tried again. */
  async #handIn(run: Run, picture: string): Promise<void> {
    const pass = run.passes[run.jobs.length];
    if (!pass) return;
    const request = { ...pass.request, [pass.kind === 'extras' ? 'image' : 'init_image']: picture };
    while (this.run?.id === run.id && !this.run.stopped) {
      try {
        const job = await jobs.submit(pass.kind, request, { key: key(run), enlarging: true });
        if (this.run?.id !== run.id || this.run.stopped) return void (await jobs.cancel(job.id)); // it was called off meanwhile
        enlargeTable.pin(null);
        return this.#keep({ ...run, jobs: [...run.jobs, job.id] });
      } catch (reason) {
        const busy = reason instanceof ServiceError && (reason.status === 429 || reason.code === 'unreachable');
        if (!busy) {
          notices.fail(reason);
          return this.#keep({ ...run, stopped: true });
        }
        await new Promise((resolve) => setTimeout(resolve, 1000 * (reason.retryAfter ?? BUSY_S)));
      }
    }
  }

  #take(source: Source): void {
    this.source = source;
    void keep('enlarge.source', source);
  }

  #keep(run: Run): void {
    this.run = run;
    void keep('enlarge.run', run);
  }
}

function key(run: Run): string {
  return `${run.id}-${run.jobs.length}`;
}

export const enlarging = new Enlarging();
void enlarging.restore();
