// Ctrl+Up and Ctrl+Down in a prompt: the weight of what is marked, or of the word or bracket under the cursor.
const STEP = 0.1;
const WORD_ENDS = /[\s.,;:!?()[\]<>{}|\\/，。；：、！？（）]/;
const WEIGHT = /^:\s*(-?\d*\.?\d+)\s*([)>])/;

export type Marked = { text: string; start: number; end: number };

/** The text with the weight one step up or down, and what to mark in it; null where nothing can be weighed. */
export function weigh({ text, start, end }: Marked, up: boolean): Marked | null {
  const [from, to] = start === end ? (bracket(text, start) ?? word(text, start)) : trimmed(text, start, end);
  if (from === to) return null;
  const before = text.slice(0, from);
  const inner = text.slice(from, to);
  const after = text.slice(to);
  const open = before.at(-1);
  const weight = WEIGHT.exec(after);
  if (weight && (open === '(' || open === '<')) {
    return written(before, inner, rounded(Number(weight[1]), up), after.slice(weight[0].length), open);
  }
  if (open === '(' && after.startsWith(')')) return written(before, inner, rounded(1.1, up), after.slice(1), '(');
  return written(`${before}(`, inner, rounded(1, up), after, '(');
}

/** before ends with the bracket; a weight of 1 in round brackets needs none. */
function written(before: string, inner: string, weight: number, after: string, open: string): Marked {
  if (weight === 1 && open === '(') {
    const start = before.length - 1;
    return { text: before.slice(0, -1) + inner + after, start, end: start + inner.length };
  }
  const close = open === '(' ? ')' : '>';
  const start = before.length;
  return { text: `${before}${inner}:${weight}${close}${after}`, start, end: start + inner.length };
}

function rounded(weight: number, up: boolean): number {
  return Math.round((weight + (up ? STEP : -STEP)) * 100) / 100;
}

/** The inside of the innermost bracket with a weight around the cursor. */
function bracket(text: string, at: number): [number, number] | null {
  let depth = 0;
  for (let place = at - 1; place >= 0; place--) {
    const letter = text[place];
    if (letter === ')' || letter === '>') depth++;
    else if (letter === '(' || letter === '<') {
      if (depth === 0) return content(text, place);
      depth--;
    }
  }
  return null;
}

function content(text: string, open: number): [number, number] | null {
  let depth = 0;
  for (let place = open + 1; place < text.length; place++) {
    const letter = text[place];
    if (letter === '(' || letter === '<') depth++;
    else if (letter === ')' || letter === '>') {
      if (depth-- > 0) continue;
      const weight = /:\s*-?\d*\.?\d+\s*$/.exec(text.slice(open + 1, place));
      return [open + 1, weight ? open + 1 + weight.index : place];
    }
  }
  return null;
}

function word(text: string, at: number): [number, number] {
  let [from, to] = [at, at];
  while (from > 0 && !WORD_ENDS.test(text[from - 1] ?? ' ')) from--;
  while (to < text.length && !WORD_ENDS.test(text[to] ?? ' ')) to++;
  return [from, to];
}

function trimmed(text: string, start: number, end: number): [number, number] {
  const marked = text.slice(start, end);
  return [start + (marked.length - marked.trimStart().length), end - (marked.length - marked.trimEnd().length)];
}
