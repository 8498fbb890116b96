// The pictures kept by the service, a page at a time, newest first.
import { get, patch, post, query, remove } from '../api/client';
import type { Picture } from '../api/types';
import { t } from './look.svelte';
import { notices } from './notices.svelte';

const PAGE = 60;

class Gallery {
  pictures = $state<Picture[]>([]);
  total = $state(0);
  search = $state('');
  favourites = $state(false);
  loading = $state(false);
  #asked = 0; // the latest question; answers to older ones are dropped

  complete = $derived(this.pictures.length >= this.total);

  /** From the newest on, as searched for now. */
  async load(): Promise<void> {
    await this.#ask(null);
  }

  async more(): Promise<void> {
    const last = this.pictures.at(-1);
    if (!this.loading && last && !this.complete) await this.#ask(last.id);
  }

  async favour(picture: Picture): Promise<void> {
    await this.#attempt(async () => {
      const favourite = !picture.favourite;
      await patch(`pictures/${picture.id}`, { favourite });
      this.#replace(picture.id, { ...picture, favourite });
    });
  }

  async discard(picture: Picture): Promise<void> {
    await this.#attempt(async () => {
      await remove(`pictures/${picture.id}`);
      this.pictures = this.pictures.filter((one) => one.id !== picture.id);
      this.total -= 1;
      notices.tell(t('gallery.discarded'), () => void this.#restore(picture));
    });
  }

  async #restore(picture: Picture): Promise<void> {
    await this.#attempt(async () => {
      await post(`pictures/${picture.id}/restore`);
      await this.load();
    });
  }

  async #ask(before: string | null): Promise<void> {
    const asked = ++this.#asked;
    this.loading = true;
    await this.#attempt(async () => {
      const wanted = query({ search: this.search, favourite: this.favourites || null, limit: PAGE, before });
      const answer = await get<{ pictures: Picture[]; total: number }>(`pictures?${wanted}`);
      if (asked !== this.#asked) return;
      const known = new Set(before ? this.pictures.map((one) => one.id) : []);
      const fresh = answer.pictures.filter((one) => !known.has(one.id));
      this.pictures = before ? [...this.pictures, ...fresh] : answer.pictures;
      this.total = answer.pictures.length ? answer.total : this.pictures.length;
    });
    if (asked === this.#asked) this.loading = false;
  }

  #replace(id: string, picture: Picture): void {
    this.pictures = this.pictures.map((one) => (one.id === id ? picture : one));
  }

  async #attempt(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (reason) {
      notices.fail(reason);
    }
  }
}

export const gallery = new Gallery();
