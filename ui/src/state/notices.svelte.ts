// Short words at the foot of the page: what happened, and a way back where there is one.
import { ServiceError } from '../api/client';
import { t } from './look.svelte';

export type Notice = { id: number; text: string; remedy: string; bad: boolean; undo: (() => void) | null };

class Notices {
  list = $state<Notice[]>([]);
  #next = 1;

  tell(text: string, undo: (() => void) | null = null): void {
    this.#add({ id: this.#next++, text, remedy: '', bad: false, undo });
  }

  fail(reason: unknown): void {
    const { text, remedy } = worded(reason);
    this.#add({ id: this.#next++, text, remedy, bad: true, undo: null });
  }

  drop(id: number): void {
    this.list = this.list.filter((notice) => notice.id !== id);
  }

  #add(notice: Notice): void {
    this.list = [...this.list.filter((other) => other.text !== notice.text), notice].slice(-3);
    setTimeout(() => this.drop(notice.id), notice.bad || notice.undo ? 12_000 : 5_000);
  }
}

export const notices = new Notices();

/** What to tell a person about a failure. */
export function worded(reason: unknown): { text: string; remedy: string } {
  if (!(reason instanceof ServiceError)) return { text: String(reason), remedy: '' };
  if (reason.code === 'unreachable') return { text: t('error.unreachable'), remedy: t('error.unreachable.remedy') };
  const wait = reason.status === 429 && reason.retryAfter ? t('error.busy', { s: reason.retryAfter }) : '';
  return { text: reason.what, remedy: [reason.remedy, wait].filter(Boolean).join(' ') };
}
