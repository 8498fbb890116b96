// From a picture's text to the form of Draw.
import { blobOf, post } from '../api/client';
import type { Inspection } from '../api/types';
import { editForm, form, type Form } from './form.svelte';
import { t } from './look.svelte';
import { notices } from './notices.svelte';
import { route } from './route.svelte';

/** Reads the text and fills the form with it, with a way back; failures are told. */
export async function readInto(which: Form, infotext: string): Promise<void> {
  try {
    const found = await post<Inspection>('inspect', { infotext });
    notices.tell(t('form.filled'), which.fill(found.request));
  } catch (reason) {
    notices.fail(reason);
  }
}

export async function fillFrom(infotext: string): Promise<void> {
  await readInto(form, infotext);
  route.go('draw');
}

/** A picture to go on from, with the words it was drawn from; failures are told. */
export async function toEdit(url: string, infotext: string): Promise<void> {
  try {
    const { editor } = await import('../edit/editor.svelte');
    const { request } = await post<Inspection>('inspect', { infotext });
    const { width: _, height: __, seed: ___, batch_size: ____, batch_count: _____, denoising_strength: ______, hires: _______, ...words } = request;
    const back = await editor.open(await blobOf(url), request.prompt ?? '', infotext);
    const formBack = infotext ? editForm.fill(words) : () => undefined;
    notices.tell(t('edit.opened'), () => (back(), formBack()));
    route.go('edit');
  } catch (reason) {
    notices.fail(reason);
  }
}

/** A picture to enlarge; failures are told. */
export async function toEnlarge(url: string): Promise<void> {
  try {
    const { enlarging } = await import('../enlarge/enlarging.svelte');
    const back = await enlarging.open(await blobOf(url));
    if (back) notices.tell(t('enlarge.opened'), back);
    route.go('enlarge');
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
