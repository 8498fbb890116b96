// What an axis may be over, from the service's own table.
import type { Parameter } from '../api/types';
import { said } from '../state/look.svelte';
import { catalog } from '../state/schema.svelte';

export const REPLACE = 'Prompt S/R';
// These hold more than one value, or are what axes are made from.
const NONE = new Set(['batch_size', 'batch_count', 'hires.enabled', 'sigmas', 'styles']);

/** of: whether pictures are drawn from a picture. */
export function axesOf(parameters: Parameter[], of: 'draw' | 'edit'): Parameter[] {
  return parameters.filter((one) => {
    if (one.kind === 'image' || NONE.has(one.name) || one.name.startsWith('soft_inpainting.')) return false;
    return of === 'edit' || one.group !== 'edit';
  });
}

/** What stands beside the cells; "" for what is no parameter. */
export function axisName(name: string): string {
  const parameter = catalog.byName.get(name);
  if (!parameter) return '';
  const group = catalog.schema.groups.find((one) => one.name === parameter.group);
  return name.includes('.') ? `${said(group?.label)} · ${said(parameter.label)}` : said(parameter.label);
}

/** What its values look like. */
export function example(parameter: Parameter | undefined): string {
  switch (parameter?.kind) {
    case 'integer':
      return parameter.name === 'seed' ? '1-4' : '10-30 (+10)';
    case 'number':
      return (parameter.maximum ?? 10) <= 1 ? '0.3-0.9 [4]' : '3-9 (+2)';
    case 'boolean':
      return 'true, false';
    case 'choice':
      return catalog.choices(parameter).slice(0, 2).map(quoted).join(', ');
    default:
      return 'cat, dog, fox';
  }
}

/** A value as it stands in a list; one that holds a comma goes in double quotes. */
export function quoted(value: string | number): string {
  const text = String(value);
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The list with a value more, or with one less where it was in it. */
export function toggled(list: string, value: string | number): string {
  const parts = split(list);
  const word = quoted(value);
  return (parts.includes(word) ? parts.filter((one) => one !== word) : [...parts, word]).join(', ');
}

export function split(list: string): string[] {
  return (list.match(/"(?:[^"]|"")*"|[^,]+/g) ?? []).map((one) => one.trim()).filter(Boolean);
}
