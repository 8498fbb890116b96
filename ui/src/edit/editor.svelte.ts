// The picture that is edited: its layers and its mask.  All of it stays in the browser until a drawing starts.
import { BASE, blobOf, upload } from '../api/client';
import type { Item, Job, LayeredFile } from '../api/types';
import { fetchKept, keep } from '../state/database';
import { catalog } from '../state/schema.svelte';
import { Mask, fitted, fromBrightness, fromHoles, fromShape } from './mask.svelte';
import { blank, blobOfUri, changed, dataUri, extended, hasHoles, opened, pen, png, roundedUp, sameSize, type Raster, type Sides, type Size } from './raster';

/** blob: its pixels as PNG.  recipe: the text it was drawn from, "" for what was not drawn. */
export type Layer = { id: string; name: string; raster: Raster; blob: Blob; x: number; y: number; visible: boolean; opacity: number; recipe: string };
type KeptLayer = Omit<Layer, 'raster'>;
type Kept = { size: Size; layers: KeptLayer[] };
type State = { size: Size | null; layers: Layer[]; mask: Mask | null };

export type Tool = 'brush' | 'rub' | 'hand';
export class WrongSize extends Error {}

class Editor {
  size = $state.raw<Size | null>(null);
  layers = $state.raw<Layer[]>([]); // the lowest first
  mask = $state.raw<Mask | null>(null);
  depth = $state.raw<Blob | null>(null);
  tool = $state<Tool>('brush');
  brush = $state(48); // pixels of the picture
  painted = $state(0); // grows with every change of pixels
  holes = $state(false); // something of the picture is transparent
  #seen: { layers: Layer[]; raster: Raster } | null = null;
  #restored: Promise<void> | null = null;
  #kept: Promise<void> = Promise.resolve();
  kept = $state(true); // what is seen is in the browser's database, too
  #timer = 0;

  /** What an earlier visit left. */
  restore(): Promise<void> {
    this.#restored ??= this.#restore().catch(() => undefined); // what cannot be read is forgotten
    return this.#restored;
  }

  async #restore(): Promise<void> {
    const kept = await fetchKept<Kept>('edit');
    if (!kept || this.size) return;
    const layers = await Promise.all(kept.layers.map(async (one) => ({ ...one, raster: await opened(one.blob) })));
    const mask = await fetchKept<Blob>('edit.mask');
    this.#take({ size: kept.size, layers, mask: new Mask(kept.size, mask ? await opened(mask) : undefined) });
    this.depth = await fetchKept<Blob>('edit.depth');
  }

  /** Another picture instead of all that is there.  Returns a way back. */
  async open(file: Blob, name: string, recipe = ''): Promise<() => void> {
    await this.restore();
    const most = catalog.byName.get('width')?.maximum ?? Infinity;
    return this.#replace(await opened(file, most), name, recipe);
  }

  async #replace(raster: Raster, name: string, recipe: string): Promise<() => void> {
    const size = { width: raster.width, height: raster.height };
    const layer = await this.#layer(raster, name, 0, 0, recipe);
    if (this.brush > Math.max(size.width, size.height) / 4) this.brush = Math.round(Math.max(size.width, size.height) / 10);
    return this.#change({ size, layers: [layer], mask: new Mask(size) });
  }

  /**
   * A drawn picture becomes the source.  Of the same size it lies over what is there, as a layer of what was masked;
   * of another size it takes its place.  Returns which, and a way back.
   */
  async use(job: Job, item: Item): Promise<{ layered: boolean; back: () => void }> {
    const result = await opened(await blobOf(item.url));
    const [name, recipe] = [String(job.request.prompt ?? ''), item.facts.infotext ?? ''];
    if (!this.size || !sameSize(result, this.size)) return { layered: false, back: await this.#replace(result, name, recipe) };
    let [raster, x, y] = [result, 0, 0];
    if (job.request['mask']) {
      const mask = await opened(await blobOf(`${BASE}jobs/${job.id}/sources/mask`));
      const part = changed(result, mask);
      [raster, x, y] = [part.raster, part.box.x, part.box.y];
    }
    const layers = [...this.layers, await this.#layer(raster, name, x, y, recipe)];
    const back = this.#change({ size: this.size, layers, mask: this.mask });
    this.paint((mask) => mask.clear());
    return { layered: true, back };
  }

  /** What is seen, at the picture's own size. */
  seen(): Raster {
    if (this.#seen?.layers === this.layers) return this.#seen.raster;
    const raster = blank(this.size ?? { width: 1, height: 1 });
    const at = pen(raster);
    for (const one of this.layers) {
      at.globalAlpha = one.opacity;
      if (one.visible) at.drawImage(one.raster, one.x, one.y);
    }
    this.#seen = { layers: this.layers, raster };
    return raster;
  }

  /** What a request says of its pictures. */
  async pictures(): Promise<Record<string, string>> {
    const given: Record<string, string> = { init_image: await dataUri(await png(this.seen())) };
    if (this.mask && !this.mask.empty) given['mask'] = await dataUri(await png(this.mask.picture()));
    if (this.depth) given['depth'] = await dataUri(this.depth);
    return given;
  }

  paint(change: (mask: Mask) => void): void {
    if (!this.mask) return;
    change(this.mask);
    this.painted++;
    this.#saveMask();
  }

  async maskFrom(file: Blob): Promise<void> {
    const raster = this.size && fitted(await opened(file), this.size);
    if (!raster) throw new WrongSize();
    this.paint((mask) => mask.replace(fromBrightness(raster)));
  }

  maskFromHoles(): void {
    this.paint((mask) => mask.replace(fromHoles(this.seen())));
  }

  maskFromLayer({ raster, x, y }: Layer): void {
    const { size } = this;
    if (size) this.paint((mask) => mask.replace(fromShape(raster, x, y, size)));
  }

  async depthFrom(file: Blob | null): Promise<void> {
    const raster = file && this.size && fitted(await opened(file), this.size);
    if (file && !raster) throw new WrongSize();
    this.depth = raster ? await png(raster) : null;
    await keep('edit.depth', this.depth);
  }

  /** Room on some sides, masked with ``overlap`` pixels of the old picture beside it.  Returns a way back. */
  async extend(wanted: Sides, overlap: number): Promise<() => void> {
    if (!this.size) return () => undefined;
    const old = this.size;
    const sides = roundedUp(wanted, old);
    const whole = extended(this.seen(), sides);
    const size = { width: whole.width, height: whole.height };
    const ground = await this.#layer(whole, '', 0, 0, '');
    const layers = this.layers.map((one) => ({ ...one, x: one.x + sides.left, y: one.y + sides.up }));
    const back = this.#change({ size, layers: [ground, ...layers], mask: new Mask(size) });
    const inner = (side: number) => (side ? overlap : 0);
    const kept = { x: sides.left + inner(sides.left), y: sides.up + inner(sides.up) };
    const [right, bottom] = [sides.left + old.width - inner(sides.right), sides.up + old.height - inner(sides.down)];
    const room = blank(size);
    pen(room).fillRect(0, 0, size.width, size.height);
    pen(room).clearRect(kept.x, kept.y, Math.max(0, right - kept.x), Math.max(0, bottom - kept.y));
    this.paint((mask) => mask.replace(fromShape(room, 0, 0, size)));
    return back;
  }

  show(layer: Layer, visible: boolean): void {
    this.#change({ ...this.#state(), layers: this.layers.map((one) => (one === layer ? { ...one, visible } : one)) });
  }

  /** by: 1 up, -1 down. */
  move(layer: Layer, by: 1 | -1): void {
    const from = this.layers.indexOf(layer);
    const rest = this.layers.filter((one) => one !== layer);
    this.#change({ ...this.#state(), layers: rest.toSpliced(Math.max(0, from + by), 0, layer) });
  }

  revert(layer: Layer): () => void {
    return this.#change({ ...this.#state(), layers: this.layers.filter((one) => one !== layer) });
  }

  /** One layer of what is seen; its text is that of the uppermost one that has any. */
  async flatten(): Promise<() => void> {
    const top = this.layers.findLast((one) => one.visible && one.recipe);
    const layer = await this.#layer(this.seen(), top?.name ?? this.layers[0]?.name ?? '', 0, 0, top?.recipe ?? '');
    return this.#change({ ...this.#state(), layers: [layer] });
  }

  /** The layers as the service writes them into a file. */
  async file(): Promise<LayeredFile> {
    const layers = this.layers.map(async ({ id: _, raster: __, blob, ...rest }) => ({ ...rest, image: await dataUri(blob) }));
    return { width: this.size?.width ?? 1, height: this.size?.height ?? 1, layers: await Promise.all(layers) };
  }

  /** The layers of an OpenRaster file instead of all that is there.  Returns a way back. */
  async openLayers(file: Blob): Promise<() => void> {
    await this.restore();
    const found = await upload<LayeredFile>('layers/read', file);
    const layers = found.layers.map(async ({ image, ...rest }) => {
      const blob = blobOfUri(image);
      return { ...rest, id: identity(), raster: await opened(blob), blob };
    });
    const size = { width: found.width, height: found.height };
    return this.#change({ size, layers: await Promise.all(layers), mask: new Mask(size) });
  }

  async #layer(raster: Raster, name: string, x: number, y: number, recipe: string): Promise<Layer> {
    return { id: identity(), name, raster, blob: await png(raster), x, y, visible: true, opacity: 1, recipe };
  }

  #state(): State {
    return { size: this.size, layers: this.layers, mask: this.mask };
  }

  #change(state: State): () => void {
    const before = this.#state();
    this.#take(state);
    this.#save();
    return () => {
      this.#take(before);
      this.#save();
    };
  }

  #take({ size, layers, mask }: State): void {
    this.size = size;
    this.layers = layers;
    this.mask = mask;
    this.holes = size !== null && hasHoles(this.seen());
    this.painted++;
  }

  #save(): void {
    const layers = this.layers.map(({ raster: _, ...rest }): KeptLayer => rest);
    this.#kept = keep('edit', this.size ? { size: this.size, layers } : null);
    this.#saveMask();
  }

  /** After the hand has rested: to pack a mask after every dab would be felt. */
  #saveMask(): void {
    clearTimeout(this.#timer);
    this.kept = false;
    this.#timer = window.setTimeout(() => void this.#keepMask(), 200);
  }

  async #keepMask(): Promise<void> {
    const saving = this.#timer;
    await this.#kept;
    await keep('edit.mask', this.mask ? await png(this.mask.raster) : null);
    if (saving === this.#timer) this.kept = true;
  }
}

let layersMade = 0;

/** Of a layer, for the list: unlike any of this visit or an earlier one. */
function identity(): string {
  return `${Date.now()}-${layersMade++}`;
}

export const editor = new Editor();
