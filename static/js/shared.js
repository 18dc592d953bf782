// Functions that several scripts use.

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// Replaces each {name} in a message with the value of that name.
export const interpolate = (message, values) =>
  message.replace(/\{(\w+)\}/g, (_, name) => values[name]);

export const formatSize = (bytes) =>
  bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
