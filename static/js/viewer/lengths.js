// What measurements say: lengths in millimetres where the size of a pixel is known.

const NO_SPACING = { row: 1, column: 1 };

// Points are in pixels of the film. Without a spacing, the length is in pixels.
export function lengthOf([a, b], spacing) {
  const { row, column } = spacing ?? NO_SPACING;
  return Math.hypot((b.x - a.x) * column, (b.y - a.y) * row);
}

// The angle at the second of three points, in degrees.
export function angleOf([a, corner, b], spacing) {
  const { row, column } = spacing ?? NO_SPACING;
  const direction = (p) => Math.atan2((p.y - corner.y) * row, (p.x - corner.x) * column);
  const degrees = Math.abs(direction(a) - direction(b)) * (180 / Math.PI);
  return degrees > 180 ? 360 - degrees : degrees;
}

// The width of the heart (the first two points) in parts of that of the thorax (the last two).
export function ratioOf(points, spacing) {
  const thorax = lengthOf(points.slice(2, 4), spacing);
  return thorax ? lengthOf(points.slice(0, 2), spacing) / thorax : 0;
}

export function lengthText(length, spacing, word) {
  if (!spacing) return word("pixels", { length: Math.round(length) });
  return word("millimetres", { length: length.toFixed(1) });
}
