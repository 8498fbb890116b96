// Whether a pasted text is the text of a picture, as A1111 writes it, rather than a prompt.
const FIELDS = /(^|\n)\s*Steps:\s*\d+,.*\b(Sampler|CFG scale|Seed|Size):/;

export function isInfotext(text: string): boolean {
  return FIELDS.test(text);
}
