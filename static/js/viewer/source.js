// The values of a film: at its stored depth from the server (`mlcore/engine/films/packed.py`
// describes the bytes), or until then, and if that fails, from the 8-bit picture on the page.

// A source: `levels` possible values; planes of halved size, the first being the whole film;
// `tones`, `slope`, `intercept`, `padding`, `spacing`, `bits` as in `mlcore/engine/films/plane.py`.

// Raised when there is no stored depth; the message is for the user, "" if there is nothing to say.
export class UnavailableError extends Error {
  // `seconds`: after which the server may have time; 0 if asking again is useless.
  constructor(message, seconds = 0) {
    super(message);
    this.seconds = seconds;
  }
}

// Reads the film at its stored depth.
export async function fetchSource(url) {
  const response = await fetch(url, { credentials: "same-origin" });
  if (response.ok) return unpacked(await response.arrayBuffer());
  const isPlain = response.headers.get("Content-Type")?.startsWith("text/plain");
  const seconds = response.status === 503 ? Number(response.headers.get("Retry-After")) : 0;
  throw new UnavailableError(isPlain ? await response.text() : "", seconds);
}

export function unpacked(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let at = 4 + length;
  for (const tone of header.tones) {
    tone.table = tone.table ? new Uint8Array(buffer, at, header.levels) : null;
    if (tone.table) at += header.levels;
  }
  const count = header.width * header.height;
  const packed = new Uint8Array(buffer, at, count * header.bytes);
  const values = header.bytes === 2 ? joined(packed, count) : packed.slice();
  unfold(values, header.width);
  return { ...header, isDeep: true, planes: planesOf(values, header.width, header.height) };
}

// The 16-bit numbers whose high bytes come first, then all low bytes.
function joined(packed, count) {
  const values = new Uint16Array(count);
  for (let i = 0; i < count; i += 1) values[i] = (packed[i] << 8) | packed[count + i];
  return values;
}

// Replaces folded differences from the left neighbour (in the first column, from above) with values.
function unfold(values, width) {
  let above = 0;
  for (let start = 0; start < values.length; start += width) {
    let value = above;
    for (let i = start; i < start + width; i += 1) {
      const folded = values[i];
      value += (folded >> 1) ^ -(folded & 1);
      values[i] = value; // modulo the size of the type
    }
    above = values[start];
  }
}

// The values of the picture on the page, before or instead of those at the stored depth.
export function sourceOfImage(image) {
  const { naturalWidth: width, naturalHeight: height } = image;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const colours = context.getImageData(0, 0, width, height).data;
  const values = new Uint8Array(width * height);
  for (let i = 0; i < values.length; i += 1) values[i] = colours[4 * i];
  return {
    width,
    height,
    bits: 8,
    levels: 256,
    isDeep: false,
    slope: 1,
    intercept: 0,
    padding: null,
    spacing: null,
    tones: [{ name: "", low: 0, high: 255, table: null }],
    planes: planesOf(values, width, height),
  };
}

const SMALLEST = 128; // side of the last plane, about

function planesOf(values, width, height) {
  const planes = [{ values, width, height }];
  while (Math.min(planes.at(-1).width, planes.at(-1).height) > 2 * SMALLEST) {
    planes.push(halved(planes.at(-1)));
  }
  return planes;
}

// Means of two by two pixels.
function halved(plane) {
  const width = plane.width >> 1;
  const height = plane.height >> 1;
  const values = new plane.values.constructor(width * height);
  const from = plane.values;
  for (let y = 0; y < height; y += 1) {
    let upper = 2 * y * plane.width;
    let lower = upper + plane.width;
    for (let i = y * width; i < (y + 1) * width; i += 1) {
      values[i] = (from[upper] + from[upper + 1] + from[lower] + from[lower + 1] + 2) >> 2;
      upper += 2;
      lower += 2;
    }
  }
  return { values, width, height };
}
