// Where a film lies on its stage. Points are { x, y }: of the film in its own pixels, of the stage
// in CSS pixels from its upper left corner.

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

export const distance = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);

const MAX_ENLARGEMENT = 12; // times the size that fits the stage
const MAX_DEVICE_PIXELS = 8; // or device pixels for a pixel of the film, if that is more

// A view: `scale` CSS pixels for a pixel of the film; x and y, the place of the film's centre from
// the centre of the stage; `turns` of 90 degrees, clockwise, after a flip left to right.
export class View {
  constructor() {
    this.film = { width: 1, height: 1 };
    this.stage = { width: 1, height: 1 };
    this.turns = 0;
    this.isFlipped = false;
    this.scale = 1;
    this.x = 0;
    this.y = 0;
  }

  // Size of the film on the stage for a scale.
  sizeAt(scale) {
    const { width, height } = this.film;
    const [w, h] = this.turns % 2 ? [height, width] : [width, height];
    return { width: w * scale, height: h * scale };
  }

  get fitScale() {
    const size = this.sizeAt(1);
    return Math.min(this.stage.width / size.width, this.stage.height / size.height) || 1;
  }

  get isFitted() {
    return this.scale <= this.fitScale * 1.001;
  }

  get enlargement() {
    return this.scale / this.fitScale;
  }

  fit() {
    this.scale = this.fitScale;
    this.x = 0;
    this.y = 0;
  }

  // Changes the stage's size; a film that filled it still does.
  resize(stage) {
    const wasFitted = this.isFitted;
    this.stage = stage;
    if (wasFitted) this.fit();
    else this.limit();
  }

  // Keeps the film on the stage: panning leaves no gap, except around a film that fits.
  limit() {
    const ratio = window.devicePixelRatio || 1;
    const most = Math.max(this.fitScale * MAX_ENLARGEMENT, MAX_DEVICE_PIXELS / ratio);
    this.scale = clamp(this.scale, Math.min(this.fitScale, 1 / ratio), most);
    const size = this.sizeAt(this.scale);
    const room = (film, stage) => Math.max(0, (film - stage) / 2);
    const maxX = room(size.width, this.stage.width);
    const maxY = room(size.height, this.stage.height);
    this.x = clamp(this.x, -maxX, maxX);
    this.y = clamp(this.y, -maxY, maxY);
  }

  // Zooms about a point of the stage, by default its centre.
  zoomTo(scale, at = { x: this.stage.width / 2, y: this.stage.height / 2 }) {
    const before = this.scale;
    const x = at.x - this.stage.width / 2;
    const y = at.y - this.stage.height / 2;
    this.scale = scale;
    this.limit();
    const change = this.scale / before;
    this.x = x - (x - this.x) * change;
    this.y = y - (y - this.y) * change;
    this.limit();
  }

  pan(x, y) {
    this.x += x;
    this.y += y;
    this.limit();
  }

  turn(by) {
    const wasFitted = this.isFitted;
    this.turns = (this.turns + by + 4) % 4;
    [this.x, this.y] = by > 0 ? [-this.y, this.x] : [this.y, -this.x];
    if (wasFitted) this.fit();
    else this.limit();
  }

  flip() {
    this.isFlipped = !this.isFlipped;
    this.turns = (4 - this.turns) % 4;
    this.x = -this.x;
  }

  upright() {
    this.turns = 0;
    this.isFlipped = false;
    this.fit();
  }

  // The matrix [a, b, c, d, e, f] of CSS from points of the film to points of the stage.
  matrix() {
    const cos = [1, 0, -1, 0][this.turns] * this.scale;
    const sin = [0, 1, 0, -1][this.turns] * this.scale;
    const flip = this.isFlipped ? -1 : 1;
    const [a, b, c, d] = [cos * flip, sin * flip, -sin, cos];
    const { width, height } = this.film;
    const e = this.stage.width / 2 + this.x - (a * width + c * height) / 2;
    const f = this.stage.height / 2 + this.y - (b * width + d * height) / 2;
    return [a, b, c, d, ...this.snapped(e, f)];
  }

  // Where a pixel of the film is a whole number of device pixels, they coincide exactly.
  snapped(e, f) {
    const ratio = window.devicePixelRatio || 1;
    const pixels = this.scale * ratio;
    if (Math.abs(pixels - Math.round(pixels)) > 1e-6) return [e, f];
    return [Math.round(e * ratio) / ratio, Math.round(f * ratio) / ratio];
  }

  toStage(point) {
    const [a, b, c, d, e, f] = this.matrix();
    return { x: a * point.x + c * point.y + e, y: b * point.x + d * point.y + f };
  }

  toFilm(point) {
    const [a, b, c, d, e, f] = inverse(this.matrix());
    return { x: a * point.x + c * point.y + e, y: b * point.x + d * point.y + f };
  }
}

export function inverse([a, b, c, d, e, f]) {
  const area = a * d - b * c;
  return [d / area, -b / area, -c / area, a / area, (c * f - d * e) / area, (b * e - a * f) / area];
}
