// From a picture's text to the form of Draw.
import { post } from '../api/client';
import type { Inspection } from '../api/types';
import { form } from './form.svelte';
import { t } from './look.svelte';
import { notices } from './notices.svelte';
import { route } from './route.svelte';

/** Reads the text and fills the form with it, with a way back; failures are told. */
export async function fillFrom(infotext: string): Promise<void> {
  try {
    const found = await post<Inspection>('inspect', { infotext });
    notices.tell(t('form.filled'), form.fill(found.request));
    route.go('draw');
  } catch (reason) {
    notices.fail(reason);
  }
}

export async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    notices.tell(t('common.copied'));
  } catch (reason) {
    notices.fail(reason);
  }
}
