// Prompts drawn before, newest first, kept by the browser.
import type { Form } from './form.svelte';
import { recall, remember } from './storage';

const MOST = 60;
export type Prompts = { prompt: string; negative_prompt: string };

class Past {
  list = $state<Prompts[]>(recall<Prompts[]>('history', []));

  add(form: Form): void {
    const added = { prompt: form.text('prompt'), negative_prompt: form.text('negative_prompt') };
    const others = this.list.filter((one) => JSON.stringify(one) !== JSON.stringify(added));
    this.list = [added, ...others].slice(0, MOST);
    remember('history', this.list);
  }

  forget(): void {
    this.list = [];
    remember('history', []);
  }
}

export const past = new Past();
