// Windows: which values of a film are black and which white.

const NARROWEST = 1; // values between black and white
const SAMPLES = 200_000;

// Grey levels of every value. A window is { low, high, table }; a table replaces the line.
export function greyLevels(source, window, isInverted) {
  const levels = new Uint8ClampedArray(source.levels);
  if (window.table) levels.set(window.table);
  else {
    const factor = 255 / Math.max(window.high - window.low, 1e-6);
    for (let value = 0; value < levels.length; value += 1) {
      levels[value] = (value - window.low) * factor; // rounded and clamped by the array
    }
  }
  if (isInverted) for (let value = 0; value < levels.length; value += 1) levels[value] ^= 255;
  if (source.padding) levels.fill(0, source.padding[0], source.padding[1] + 1);
  return levels;
}

// Centre and width in the units of the film, as a DICOM file would state them.
export function unitsOf(source, { low, high }) {
  const centre = (source.slope * (low + high)) / 2 + source.intercept + 0.5;
  return { centre, width: Math.abs(source.slope) * (high - low) + 1 };
}

// The window after a drag, in shares of the default window's width: `wider`, `brighter`.
export function dragged(source, window, wider, brighter) {
  const reach = source.tones[0].high - source.tones[0].low;
  const width = Math.max(NARROWEST, window.high - window.low + wider * reach);
  const centre = (window.low + window.high) / 2 - brighter * reach;
  return limited(source, { low: centre - width / 2, high: centre + width / 2 });
}

function limited(source, { low, high }) {
  const centre = Math.min(source.levels, Math.max(0, (low + high) / 2));
  const width = Math.min(2 * source.levels, high - low);
  return { low: centre - width / 2, high: centre + width / 2, table: null };
}

// The same window on another film: its ends, relative to the default window.
export function transferred(window, from, to) {
  const [here, there] = [from.tones[0], to.tones[0]];
  if (window.low === here.low && window.high === here.high) return { ...there };
  const share = (value) => (value - here.low) / (here.high - here.low);
  const at = (value) => there.low + share(value) * (there.high - there.low);
  return { low: at(window.low), high: at(window.high), table: null };
}

// The windows to choose from: { kind, name, window }. Kinds are words of the page.
export function presets(source) {
  const [first, ...stated] = source.tones;
  return [
    { kind: "default", window: first },
    ...stated.map((window, i) => ({ kind: "stated", number: i + 1, name: window.name, window })),
    { kind: "full", window: usedRange(source) },
    { kind: "lungs", window: between(source, 0.01, 0.62) },
    { kind: "bones", window: between(source, 0.42, 0.998) },
  ];
}

// From the lowest to the highest value of the film.
function usedRange(source) {
  const values = sample(source);
  return { low: values[0], high: Math.max(values.at(-1), values[0] + NARROWEST), table: null };
}

// Between two shares of the values that the default window does not show black or white.
function between(source, from, to) {
  const { low, high } = source.tones[0];
  const values = sample(source).filter((value) => value > low && value < high);
  if (values.length < 2) return usedRange(source);
  const at = (share) => values[Math.floor(share * (values.length - 1))];
  return { low: at(from), high: Math.max(at(to), at(from) + NARROWEST), table: null };
}

// Values all over the film in ascending order, without padding.
function sample(source) {
  if (source.sample) return source.sample;
  const { values } = source.planes[Math.min(1, source.planes.length - 1)];
  const step = Math.max(1, Math.floor(values.length / SAMPLES));
  const [first, last] = source.padding ?? [1, 0];
  const taken = values.filter((value, i) => i % step === 0 && (value < first || value > last));
  source.sample = taken.length ? taken.sort() : new Uint16Array(1);
  return source.sample;
}
