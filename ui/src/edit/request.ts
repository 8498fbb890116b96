// The request that the form, the picture and the mask make together.
import type { Request } from '../api/types';
import { editForm } from '../state/form.svelte';
import { catalog } from '../state/schema.svelte';
import { editor } from './editor.svelte';

const OF_A_MASK = ['mask_blur', 'inpainting_fill', 'only_masked', 'only_masked_padding', 'soft_inpainting'];

/** Rejects where there is no picture.  Settings of a mask are left out while none is painted, the depth map where no model takes it. */
export async function editRequest(): Promise<Request> {
  const request: Request = { ...editForm.request(), ...(await editor.pictures()) };
  if (!request['mask']) for (const name of OF_A_MASK) delete request[name];
  const model = catalog.models.models.find((one) => one.title === request['model']) ?? catalog.current;
  if (model?.purpose !== 'depth') delete request['depth'];
  return request;
}
