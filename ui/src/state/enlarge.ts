// "Enlarge this one": a second pass over a finished picture, with all that its text says of how it was drawn.
import { post } from '../api/client';
import type { Inspection, Item } from '../api/types';
import { form } from './form.svelte';
import { jobs } from './jobs.svelte';
import { t } from './look.svelte';
import { place } from './names';
import { notices } from './notices.svelte';
import { drawTable } from './tables.svelte';

// A picture from a picture is drawn whole when it is enlarged, whatever of it was redrawn before.
const WHOLE = { width: null, height: null, mask: null, mask_invert: false, only_masked: false, soft_inpainting: null, exact_steps: false };

/** Where the form's second pass says nothing of its own, as the command line's ``refine``. */
function secondPass(): Record<string, unknown> {
  const hires: Record<string, unknown> = { scale: 2, upscaler: 'Lanczos', denoising_strength: 0.5 };
  for (const [name, value] of Object.entries(form.values)) if (name.startsWith('hires.')) place(hires, name.split('.').slice(1), value);
  return { ...hires, enabled: true };
}

export async function enlarge(item: Item): Promise<void> {
  try {
    const { request } = await post<Inspection>('inspect', { infotext: item.facts.infotext ?? '' });
    await jobs.submit('generate', { ...request, ...WHOLE, init_image: item.picture, denoising_strength: 0, hires: secondPass() });
    drawTable.pin(null);
    notices.tell(t('hires.sent'));
  } catch (reason) {
    notices.fail(reason);
  }
}
