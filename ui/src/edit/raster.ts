// Pictures as canvases: opened, cut, put together.  All in the browser; nothing here sends anything.
export type Raster = HTMLCanvasElement;
export type Size = { width: number; height: number };
export type Box = { x: number; y: number; width: number; height: number };
export type Sides = { left: number; right: number; up: number; down: number };

export function blank({ width, height }: Size): Raster {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

export function pen(raster: Raster): CanvasRenderingContext2D {
  const found = raster.getContext('2d', { willReadFrequently: true });
  if (!found) throw new Error('this browser gives no canvas');
  return found;
}

export function sameSize(one: Size, other: Size): boolean {
  return one.width === other.width && one.height === other.height;
}

/** The picture of a file, the right way up, no side longer than ``most``.  Rejects what is no picture. */
export async function opened(file: Blob, most = Infinity): Promise<Raster> {
  const bitmap = await createImageBitmap(file);
  const factor = Math.min(1, most / Math.max(bitmap.width, bitmap.height));
  const raster = blank({ width: Math.round(bitmap.width * factor), height: Math.round(bitmap.height * factor) });
  const at = pen(raster);
  at.imageSmoothingQuality = 'high';
  at.drawImage(bitmap, 0, 0, raster.width, raster.height);
  bitmap.close();
  return raster;
}

export function png(raster: Raster): Promise<Blob> {
  return new Promise((resolve, reject) => {
    raster.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('the picture is too large'))), 'image/png');
  });
}

/** A file's content as "data:image/png;base64,...", as the service takes pictures. */
export function dataUri(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

/** The other way round; to fetch it would be against the page's policy. */
export function blobOfUri(uri: string): Blob {
  const [head = '', data = ''] = uri.split(',');
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: /^data:([^;]+)/.exec(head)?.[1] ?? 'image/png' });
}

export function pixels(raster: Raster): ImageData {
  return pen(raster).getImageData(0, 0, raster.width, raster.height);
}

/** Changes every pixel in place: red, green, blue, alpha, 0 to 255. */
export function eachPixel(raster: Raster, change: (data: Uint8ClampedArray, at: number) => void): Raster {
  const found = pixels(raster);
  for (let at = 0; at < found.data.length; at += 4) change(found.data, at);
  pen(raster).putImageData(found, 0, 0);
  return raster;
}

export function hasHoles(raster: Raster): boolean {
  const { data } = pixels(raster);
  for (let at = 3; at < data.length; at += 4) if ((data[at] ?? 255) < 255) return true;
  return false;
}

/** The smallest box around what is not wholly transparent; null if nothing is there. */
export function bounds(raster: Raster): Box | null {
  const { data, width, height } = pixels(raster);
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0, at = 3; y < height; y++) {
    for (let x = 0; x < width; x++, at += 4) {
      if (!data[at]) continue;
      if (x < left) left = x;
      if (x > right) right = x;
      if (y < top) top = y;
      bottom = y;
    }
  }
  return right < 0 ? null : { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
}

export function cut(raster: Raster, box: Box): Raster {
  const part = blank(box);
  pen(part).drawImage(raster, -box.x, -box.y);
  return part;
}

/** What an inpainting changed: the result wherever the mask is not black.  Both of one size. */
export function changed(result: Raster, mask: Raster): { raster: Raster; box: Box } {
  const bright = pixels(mask).data;
  const whole = cut(result, { x: 0, y: 0, width: result.width, height: result.height });
  eachPixel(whole, (data, at) => {
    if (!bright[at]) data[at + 3] = 0;
  });
  const box = bounds(whole) ?? { x: 0, y: 0, width: 1, height: 1 };
  return { raster: cut(whole, box), box };
}

/** Sides rounded up so that the whole is a multiple of 8, as the command line's outpainting does. */
export function roundedUp({ left, right, up, down }: Sides, { width, height }: Size): Sides {
  const missing = (before: number, side: number, after: number) => (8 - ((before + side + after) % 8)) % 8;
  const [across, along] = [missing(left, width, right), missing(up, height, down)];
  const first = left > 0 && right === 0;
  const upper = up > 0 && down === 0;
  return {
    left: first ? left + across : left,
    right: first ? right : right + across,
    up: upper ? up + along : up,
    down: upper ? down : down + along,
  };
}

/** The picture with room on its sides; its outermost pixels are drawn out into it. */
export function extended(raster: Raster, { left, right, up, down }: Sides): Raster {
  const { width, height } = raster;
  const whole = blank({ width: left + width + right, height: up + height + down });
  const at = pen(whole);
  at.imageSmoothingEnabled = false;
  const columns = [[0, 1, 0, left], [0, width, left, width], [width - 1, 1, left + width, right]] as const;
  const rows = [[0, 1, 0, up], [0, height, up, height], [height - 1, 1, up + height, down]] as const;
  for (const [fromX, takenX, toX, wide] of columns) {
    for (const [fromY, takenY, toY, high] of rows) {
      if (wide && high) at.drawImage(raster, fromX, fromY, takenX, takenY, toX, toY, wide, high);
    }
  }
  return whole;
}
