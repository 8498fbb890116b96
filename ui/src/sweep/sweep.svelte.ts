// The sweep on the sheet: the service plans its cells, and every cell is handed in as a job of its own.
import { file, get, post, ServiceError } from '../api/client';
import { picturesOf, type Item, type Job, type Request, type SweepPlan } from '../api/types';
import { fetchKept, keep } from '../state/database';
import { isLive, jobs } from '../state/jobs.svelte';
import { notices } from '../state/notices.svelte';

export type Kind = 'axes' | 'matrix' | 'words' | 'contact';
export type Axis = { name: string; values: string; label?: string };
export type Wish = { request: Request; kind: Kind; language: string } & Partial<Record<'x' | 'y' | 'z', Axis>>;

/** A cell's job once it has ended: what is left of it when it is forgotten elsewhere. */
type End = { state: string; error: string | null; item: Item | null };
type Kept = { id: string; plan: SweepPlan; jobs: (string | null)[]; ends: (End | null)[]; stopped: boolean };
export type Cell = { index: number; job: Job | undefined; end: End | null };

const BEHIND = -1; // single drawings go first
const BUSY_S = 2; // until the next attempt where the service names no time

class Sweep {
  #kept = $state.raw<Kept | null>(null);
  sending = $state(false);
  #restored: Promise<void> | null = null;

  plan = $derived(this.#kept?.plan ?? null);
  cells = $derived.by((): Cell[] => {
    const kept = this.#kept;
    if (!kept) return [];
    return kept.plan.cells.map((_, index) => {
      const id = kept.jobs[index];
      const job = id ? jobs.all[id] : undefined;
      return { index, job, end: job && !isLive(job) ? ended(job) : (kept.ends[index] ?? null) };
    });
  });
  done = $derived(this.cells.filter((cell) => cell.end?.item).length);
  live = $derived(this.sending || this.cells.some((cell) => isLive(cell.job)));

  /** What an earlier visit began is gone on with. */
  restore(): Promise<void> {
    this.#restored ??= this.#restore();
    return this.#restored;
  }

  async #restore(): Promise<void> {
    const kept = await fetchKept<Kept>('sweep');
    if (!kept || this.#kept) return;
    this.#kept = kept;
    await this.#ask();
    if (!kept.stopped) await this.#hand(kept);
  }

  async begin(wish: Wish): Promise<void> {
    await this.restore();
    const plan = await post<SweepPlan>('sweeps', wish);
    await this.cancel();
    const none = plan.cells.map(() => null);
    const kept = { id: `sweep-${Date.now()}-${Math.random().toString(36).slice(2, 8)}`, plan, jobs: none, ends: none, stopped: false };
    this.#keep(kept);
    void this.#hand(kept);
  }

  /** Hands in what is not handed in yet; where the line is full it waits.  The same key is the same job, so nothing is drawn twice. */
  async #hand(kept: Kept): Promise<void> {
    this.sending = true;
    for (let index = 0; index < kept.jobs.length; ) {
      if (this.#kept?.id !== kept.id || this.#kept.stopped) return;
      if (this.#kept.jobs[index] || (await this.#handIn(kept, index))) index++;
    }
    this.sending = false;
  }

  /** Whether it was taken; if not, it is tried again or nothing is any more. */
  async #handIn(kept: Kept, index: number): Promise<boolean> {
    try {
      const job = await jobs.submit('generate', kept.plan.cells[index] ?? {}, { key: `${kept.id}-${index}`, sweep: true, priority: BEHIND });
      const late = this.#kept?.id !== kept.id || this.#kept.stopped; // it was called off meanwhile
      this.#put(kept.id, index, job.id);
      if (late) await jobs.cancel(job.id);
      return true;
    } catch (reason) {
      const busy = reason instanceof ServiceError && (reason.status === 429 || reason.code === 'unreachable');
      if (busy) await new Promise((resolve) => setTimeout(resolve, 1000 * (reason.retryAfter ?? BUSY_S)));
      else this.#stop(reason);
      return false;
    }
  }

  #put(id: string, index: number, job: string): void {
    if (this.#kept?.id === id) this.#keep({ ...this.#kept, jobs: this.#kept.jobs.with(index, job), ends: this.#kept.ends.with(index, null) });
  }

  #stop(reason: unknown): void {
    notices.fail(reason);
    if (this.#kept) this.#keep({ ...this.#kept, stopped: true });
    this.sending = false;
  }

  /** How cells stand whose jobs this page has not heard of. */
  async #ask(): Promise<void> {
    for (const cell of this.cells) {
      const id = this.#kept?.jobs[cell.index];
      if (!id || cell.job || cell.end) continue;
      await get<Job>(`jobs/${id}`).then((job) => jobs.answered(job), () => undefined);
    }
  }

  /** Remembers how cells ended, before their jobs are forgotten. */
  settle(): void {
    const kept = this.#kept;
    if (!kept) return;
    const ends = this.cells.map((cell) => cell.end);
    if (ends.some((end, index) => (end === null) !== (kept.ends[index] === null))) this.#keep({ ...kept, ends });
  }

  async cancel(): Promise<void> {
    if (this.#kept) this.#keep({ ...this.#kept, stopped: true });
    this.sending = false;
    const running = this.cells.flatMap(({ job }) => (job && isLive(job) ? [job.id] : []));
    await Promise.all(running.map((id) => jobs.cancel(id).catch((reason: unknown) => notices.fail(reason))));
  }

  async retry(index: number): Promise<void> {
    const kept = this.#kept;
    if (!kept) return;
    const request = kept.plan.cells[index] ?? {};
    const job = await jobs.submit('generate', request, { sweep: true, priority: BEHIND });
    this.#put(kept.id, index, job.id);
  }

  /** All cells on one labelled picture. */
  async sheet(): Promise<Blob> {
    const { columns, rows, sheets, captioned } = this.plan ?? { columns: [], rows: [], sheets: [], captioned: false };
    const pictures = this.cells.map((cell) => cell.end?.item?.picture ?? null);
    return file('sweeps/sheet', { columns, rows, sheets, captioned, pictures });
  }

  #keep(kept: Kept): void {
    this.#kept = kept;
    void keep('sweep', kept);
  }
}

function ended(job: Job): End {
  return { state: job.state, error: job.error, item: picturesOf(job)[0] ?? null };
}

export const sweep = new Sweep();
