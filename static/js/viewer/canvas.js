// Draws a film without WebGL, by the processor: the same picture as `webgl.js`, pixel by pixel.

const RING = 0xffe3d474; // of the lens, as bytes A B G R
const OPAQUE = 0xff000000;

export class CanvasRenderer {
  constructor(canvas) {
    this.context = canvas.getContext("2d");
    this.isLost = false;
  }

  takes() {
    return true;
  }

  load(source) {
    this.source = source;
    this.colours = new Uint32Array(source.levels);
  }

  setTone(levels) {
    for (let value = 0; value < levels.length; value += 1) {
      this.colours[value] = OPAQUE | (levels[value] * 0x010101);
    }
  }

  // Draws a frame of `frames.js`.
  draw(frame) {
    const { width, height } = frame.canvas;
    if (this.image?.width !== width || this.image?.height !== height) {
      this.image = this.context.createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    this.pixels.fill(0);
    this.fill(frame, [0, 0, width, height], frame.planes[0], 1);
    const [x, y, radius] = frame.lens;
    if (radius > 0) {
      const area = [x - radius, y - radius, x + radius, y + radius];
      this.fill(frame, area, frame.planes[1], frame.lens[3]);
    }
    this.context.putImageData(this.image, 0, 0);
  }

  // Draws a part of the screen; with a magnification, the inside of the lens.
  fill(frame, [left, top, right, bottom], plane, magnification) {
    const { canvas, film, lens, turn, shift } = frame;
    const within = { plane: this.source.planes[plane], film };
    const rows = [Math.max(0, Math.ceil(top)), Math.min(canvas.height, bottom)];
    const columns = [Math.max(0, Math.ceil(left)), Math.min(canvas.width, right)];
    const [a, b, c, d] = turn.map((part) => part / magnification);
    const middle = magnification === 1 ? [0, 0] : lens;
    const keep = 1 - 1 / magnification;
    for (let y = rows[0]; y < rows[1]; y += 1) {
      let [from, to] = columns;
      if (magnification !== 1) {
        const half = Math.sqrt(Math.max(0, lens[2] ** 2 - (y + 0.5 - lens[1]) ** 2));
        from = Math.max(from, Math.round(lens[0] - half));
        to = Math.min(to, Math.round(lens[0] + half));
      }
      const [x, v] = [from + 0.5, y + 0.5];
      const u0 = a * x + c * v + shift[0] + keep * (turn[0] * middle[0] + turn[2] * middle[1]);
      const v0 = b * x + d * v + shift[1] + keep * (turn[1] * middle[0] + turn[3] * middle[1]);
      this.fillRow(within, y * canvas.width, [from, to], [u0, v0, a, b]);
      if (magnification !== 1) this.drawRing(y * canvas.width, from, to);
    }
  }

  fillRow({ plane, film }, start, [from, to], [u0, v0, du, dv]) {
    const { values, width, height } = plane;
    const { pixels, colours } = this;
    const [toX, toY] = [width / film.width, height / film.height];
    const [stepX, stepY] = [du * toX, dv * toY];
    let x = u0 * toX - 0.5;
    let y = v0 * toY - 0.5;
    for (let i = start + from; i < start + to; i += 1, x += stepX, y += stepY) {
      if (x < -0.5 || y < -0.5 || x >= width - 0.5 || y >= height - 0.5) continue;
      const left = x < 0 ? 0 : x | 0;
      const upper = y < 0 ? 0 : y | 0;
      const right = left + 1 < width ? 1 : 0;
      const at = upper * width + left;
      const below = upper + 1 < height ? at + width : at;
      const shareX = x < 0 ? 0 : x - left;
      const shareY = y < 0 ? 0 : y - upper;
      const above = values[at] + (values[at + right] - values[at]) * shareX;
      const under = values[below] + (values[below + right] - values[below]) * shareX;
      pixels[i] = colours[(above + (under - above) * shareY + 0.5) | 0];
    }
  }

  drawRing(start, from, to) {
    if (to <= from) return;
    for (const x of [from, from + 1, to - 2, to - 1]) this.pixels[start + x] = RING;
  }
}
