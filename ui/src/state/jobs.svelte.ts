// This browser's jobs, told live by the service.  After a reload or a restart the first event says how they stand.
import { BASE, get, post, query } from '../api/client';
import type { Glimpse, Job, Request } from '../api/types';
import { clientId } from './storage';

const KEPT = 40;
const CELLS = 300; // of sweeps, kept beside those
const PAGE = 200;
const RETRY_MS = 1500;
const LIVE = new Set(['queued', 'running']);

export type Seen = Glimpse & { previews: Record<number, string> };

class Jobs {
  all = $state<Record<string, Job>>({});
  glimpses = $state<Record<string, Seen>>({});
  connected = $state(true);
  #source: EventSource | null = null;

  /** Newest first. */
  list = $derived(Object.values(this.all).sort((a, b) => stamp(b) - stamp(a)));
  drawings = $derived(this.list.filter((job) => job.kind === 'generate' || isPass(job)));
  waiting = $derived(this.list.filter((job) => job.state === 'queued').reverse());
  running = $derived(this.list.filter((job) => job.state === 'running'));

  /** Listens from now on; the browser connects again by itself when the line breaks, we when it was refused. */
  listen(): void {
    this.#source?.close();
    const source = new EventSource(`${BASE}events?${query({ client: clientId() })}`);
    this.#source = source;
    source.onopen = () => {
      this.connected = true;
      void this.refresh();
    };
    source.onerror = () => {
      this.connected = false;
      if (source.readyState === EventSource.CLOSED) setTimeout(() => this.listen(), RETRY_MS);
    };
    source.addEventListener('job', (event) => this.take(JSON.parse(event.data as string) as Job));
    source.addEventListener('glimpse', (event) => this.see(JSON.parse(event.data as string) as Glimpse));
  }

  async refresh(): Promise<void> {
    try {
      let before: string | null = null;
      for (let count = 0, asked = 0; count < KEPT && asked < CELLS; ) {
        const limit: number = asked ? PAGE : KEPT;
        const { jobs }: { jobs: Job[] } = await get(`jobs?${query({ limit, before })}`);
        for (const job of jobs) this.answered(job);
        count += jobs.filter((job) => !isCell(job)).length;
        asked += jobs.length;
        before = jobs.at(-1)?.id ?? null;
        if (jobs.length < limit) return;
      }
    } catch {
      // the events will tell as soon as the service answers
    }
  }

  /** What was asked for may come later than what was told meanwhile: an answer never takes a job back. */
  answered(job: Job): void {
    const known = this.all[job.id];
    if (!known || rank(job) >= rank(known)) this.take(job);
  }

  take(job: Job): void {
    this.all[job.id] = job;
    if (!LIVE.has(job.state)) delete this.glimpses[job.id];
    const old = Object.values(this.all).filter((one) => !LIVE.has(one.state)).sort((a, b) => stamp(b) - stamp(a));
    for (const one of [...old.filter((job) => !isCell(job)).slice(KEPT), ...old.filter(isCell).slice(CELLS)]) delete this.all[one.id];
  }

  see(glimpse: Glimpse): void {
    if (!isLive(this.all[glimpse.job] ?? { state: 'running' })) return; // told before the end, heard after it
    // Pictures of a batch come on side by side, so each keeps what was last seen of it.
    const previews = { ...this.glimpses[glimpse.job]?.previews };
    if (glimpse.preview) previews[glimpse.picture] = glimpse.preview;
    this.glimpses[glimpse.job] = { ...glimpse, previews };
  }

  async submit(kind: string, request: Request, extra: Record<string, unknown> = {}): Promise<Job> {
    const job = await post<Job>('jobs', { kind, request, key: key(), ...extra });
    this.answered(job);
    return job;
  }

  async cancel(id: string): Promise<void> {
    this.adopt(await post<Job | null>(`jobs/${id}/cancel`));
  }

  /** The batch at work is kept as it stands, and the next one begun. */
  async skip(id: string): Promise<void> {
    this.adopt(await post<Job | null>(`jobs/${id}/skip`));
  }

  /** Likewise, and nothing more is drawn. */
  async interrupt(id: string): Promise<void> {
    this.adopt(await post<Job | null>(`jobs/${id}/interrupt`));
  }

  async retry(id: string): Promise<void> {
    this.adopt(await post<Job | null>(`jobs/${id}/retry`));
  }

  private adopt(job: Job | null): void {
    if (job?.id) this.answered(job);
  }
}

function rank(job: Job): number {
  return job.state === 'queued' ? 0 : job.state === 'running' ? 1 : 2;
}

function stamp(job: Job): number {
  return typeof job.created === 'number' ? job.created : Date.parse(job.created) / 1000;
}

/** A submission that is sent twice (a lost answer, a double click) makes one job. */
function key(): string {
  return `${clientId()}-${Date.now()}-${Math.random().toString(36).slice(2, 8)}`;
}

/** Cells of sweeps have a place of their own. */
export function isCell(job: Job): boolean {
  return job.origin === 'sweep';
}

/** Passes of an enlarging, too. */
export function isPass(job: Job): boolean {
  return job.origin === 'enlarging';
}

export function isLive(job: Pick<Job, 'state'> | undefined): boolean {
  return job !== undefined && LIVE.has(job.state);
}

export const jobs = new Jobs();
