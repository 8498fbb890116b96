// What the forms of several tabs share: sent once at a time, by a click or by Ctrl-Enter; pictures that are dropped on them.
import { notices } from './notices.svelte';

export class Sending {
  busy = $state(false);

  /** What is under way is not begun again; failures are told. */
  async run(make: () => Promise<unknown>): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    try {
      await make();
    } catch (reason) {
      notices.fail(reason);
    } finally {
      this.busy = false;
    }
  }
}

export function submits(event: KeyboardEvent, send: () => Promise<void>): void {
  if ((event.ctrlKey || event.metaKey) && event.key === 'Enter' && !event.defaultPrevented) {
    event.preventDefault();
    void send();
  }
}

/** Of a field that is emptied, so that the same file can be chosen again. */
export function chosenOf(event: Event): File | undefined {
  const field = event.currentTarget as HTMLInputElement;
  const file = field.files?.[0];
  field.value = '';
  return file;
}

export function pictureOf(data: DataTransfer | null): File | undefined {
  return [...(data?.files ?? [])].find((one) => one.type.startsWith('image/'));
}
