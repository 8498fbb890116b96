import { t } from '../state/look.svelte';
import { notices } from '../state/notices.svelte';
import { editor, WrongSize } from './editor.svelte';

/** Tells that a mask or depth map is no picture, or not as large as the one it is for. */
export function unfit(reason: unknown): void {
  const { width, height } = editor.size ?? { width: 0, height: 0 };
  notices.fail(t(reason instanceof WrongSize ? 'edit.mask.size' : 'edit.unreadable', { width, height }));
}
