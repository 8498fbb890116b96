// The mask: where it is opaque the picture is redrawn.  Every change can be taken back.
import { blank, bounds, cut, eachPixel, pen, sameSize, type Box, type Raster, type Size } from './raster';

type Point = { x: number; y: number };
type Change = { box: Box; before: Raster; after: Raster };
const ROOM = 2 ** 26; // pixels of all changes that can be taken back

export class Mask {
  readonly raster: Raster;
  empty = $state(true);
  undoable = $state(0);
  redoable = $state(0);
  #settled: Raster; // as it was before the stroke that is being painted
  #past: Change[] = [];
  #future: Change[] = [];
  #stroke: Box | null = null;
  #erasing = false;

  constructor(size: Size, from?: Raster) {
    this.raster = blank(size);
    this.#settled = blank(size);
    if (from) for (const one of [this.raster, this.#settled]) pen(one).drawImage(from, 0, 0);
    this.empty = bounds(this.raster) === null;
  }

  /** One piece of a stroke, from a point to the next.  size: the brush's, across. */
  stroke(from: Point, to: Point, size: number, erase: boolean): void {
    this.#erasing = erase;
    const at = pen(this.raster);
    at.save();
    at.globalCompositeOperation = erase ? 'destination-out' : 'source-over';
    at.strokeStyle = '#fff';
    at.lineCap = at.lineJoin = 'round';
    at.lineWidth = size;
    at.beginPath();
    at.moveTo(from.x, from.y);
    at.lineTo(to.x + 0.01, to.y);
    at.stroke();
    at.restore();
    this.#stroke = joined(this.#stroke, around(from, to, size / 2 + 2), this.raster);
  }

  /** The stroke is finished: from now on it can be taken back. */
  settle(): void {
    if (this.#stroke) this.#keep(this.#stroke, !this.#erasing);
    this.#stroke = null;
  }

  /** The stroke that is being painted was a slip. */
  drop(): void {
    if (this.#stroke) copy(this.#settled, this.raster, this.#stroke);
    this.#stroke = null;
  }

  clear(): void {
    this.#all((at, { width, height }) => at.clearRect(0, 0, width, height));
  }

  fill(): void {
    this.#all((at, { width, height }) => at.fillRect(0, 0, width, height));
  }

  invert(): void {
    this.settle();
    eachPixel(this.raster, white((data, at) => 255 - (data[at + 3] ?? 0)));
    this.#keep(whole(this.raster));
  }

  /** Another mask instead.  raster: of the same size, opaque where the picture is redrawn. */
  replace(raster: Raster): void {
    this.#all((at, { width, height }) => {
      at.clearRect(0, 0, width, height);
      at.drawImage(raster, 0, 0);
    });
  }

  undo(): void {
    this.#step(this.#past, this.#future, 'before');
  }

  redo(): void {
    this.#step(this.#future, this.#past, 'after');
  }

  /** As the service takes it: white is redrawn, black is kept. */
  picture(): Raster {
    const grey = blank(this.raster);
    const at = pen(grey);
    at.fillRect(0, 0, grey.width, grey.height);
    at.drawImage(this.raster, 0, 0);
    return grey;
  }

  #all(change: (at: CanvasRenderingContext2D, size: Size) => void): void {
    this.settle();
    const at = pen(this.raster);
    at.fillStyle = '#fff';
    change(at, this.raster);
    this.#keep(whole(this.raster));
  }

  /** painted: something is there now for certain, and need not be looked for. */
  #keep(box: Box, painted = false): void {
    this.#past.push({ box, before: cut(this.#settled, box), after: cut(this.raster, box) });
    copy(this.raster, this.#settled, box);
    this.#future = [];
    let room = ROOM;
    const kept = this.#past.findLastIndex((one) => (room -= 2 * one.box.width * one.box.height) < 0);
    this.#past.splice(0, Math.min(kept + 1, this.#past.length - 1));
    this.#count(painted);
  }

  #step(from: Change[], to: Change[], side: 'before' | 'after'): void {
    this.settle();
    const change = from.pop();
    if (!change) return;
    for (const one of [this.raster, this.#settled]) {
      pen(one).clearRect(change.box.x, change.box.y, change.box.width, change.box.height);
      pen(one).drawImage(change[side], change.box.x, change.box.y);
    }
    to.push(change);
    this.#count();
  }

  #count(painted = false): void {
    this.undoable = this.#past.length;
    this.redoable = this.#future.length;
    this.empty = !painted && bounds(this.raster) === null;
  }
}

/** A picture as a mask: its bright parts, or, of a drawing on transparency, what is opaque and bright. */
export function fromBrightness(raster: Raster): Raster {
  return eachPixel(raster, white((data, at) => (luma(data, at) * (data[at + 3] ?? 0)) / 255));
}

/** What is transparent in a picture is to be redrawn. */
export function fromHoles(raster: Raster): Raster {
  return eachPixel(cut(raster, whole(raster)), white((data, at) => 255 - (data[at + 3] ?? 0)));
}

/** A layer's shape on a canvas of the whole's size. */
export function fromShape(raster: Raster, x: number, y: number, size: Size): Raster {
  const found = blank(size);
  pen(found).drawImage(raster, x, y);
  return eachPixel(found, white((data, at) => data[at + 3] ?? 0));
}

/** Resized to the picture's size where its proportions are the same; null where they are not. */
export function fitted(raster: Raster, size: Size): Raster | null {
  if (sameSize(raster, size)) return raster;
  const off = Math.abs(raster.width * size.height - raster.height * size.width) / (size.width * size.height);
  if (off * Math.max(size.width / raster.width, 1) > 0.02) return null;
  const found = blank(size);
  pen(found).drawImage(raster, 0, 0, size.width, size.height);
  return found;
}

function luma(data: Uint8ClampedArray, at: number): number {
  return 0.299 * (data[at] ?? 0) + 0.587 * (data[at + 1] ?? 0) + 0.114 * (data[at + 2] ?? 0);
}

function white(alpha: (data: Uint8ClampedArray, at: number) => number): (data: Uint8ClampedArray, at: number) => void {
  return (data, at) => {
    const value = alpha(data, at);
    data[at] = data[at + 1] = data[at + 2] = 255;
    data[at + 3] = value;
  };
}

function whole({ width, height }: Size): Box {
  return { x: 0, y: 0, width, height };
}

function around(from: Point, to: Point, margin: number): Box {
  const [x, y] = [Math.min(from.x, to.x) - margin, Math.min(from.y, to.y) - margin];
  return { x, y, width: Math.abs(from.x - to.x) + 2 * margin, height: Math.abs(from.y - to.y) + 2 * margin };
}

/** The box of both in whole pixels, within the picture; null where nothing of it is left. */
function joined(one: Box | null, other: Box, size: Size): Box | null {
  const boxes = one ? [one, other] : [other];
  const left = Math.max(0, Math.floor(Math.min(...boxes.map((box) => box.x))));
  const top = Math.max(0, Math.floor(Math.min(...boxes.map((box) => box.y))));
  const right = Math.min(size.width, Math.ceil(Math.max(...boxes.map((box) => box.x + box.width))));
  const bottom = Math.min(size.height, Math.ceil(Math.max(...boxes.map((box) => box.y + box.height))));
  return right > left && bottom > top ? { x: left, y: top, width: right - left, height: bottom - top } : one;
}

function copy(from: Raster, to: Raster, box: Box): void {
  const at = pen(to);
  at.clearRect(box.x, box.y, box.width, box.height);
  at.drawImage(from, box.x, box.y, box.width, box.height, box.x, box.y, box.width, box.height);
}
