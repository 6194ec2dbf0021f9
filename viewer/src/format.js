// How numbers are written for people. Times come in nanoseconds.

const STEPS = [
  [1e9, "s"],
  [1e6, "ms"],
  [1e3, "µs"],
  [1, "ns"],
];

// A duration with three digits that count, and its unit: "1.25 ms".
export function duration(ns) {
  if (!Number.isFinite(ns)) return "–";
  if (ns === 0) return "0 s";
  if (ns < 0) return `−${duration(-ns)}`;
  if (ns >= 120e9) return `${Math.floor(ns / 60e9)} min ${Math.round((ns % 60e9) / 1e9)} s`;
  const [size, unit] = STEPS.find(([size]) => ns >= size * 0.9995) ?? STEPS[3];
  return `${digits(ns / size)} ${unit}`;
}

function digits(value) {
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return trimmed(value.toFixed(1));
  return trimmed(value.toFixed(2));
}

function trimmed(text) {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

// A moment on the ruler, as exact as the distance between two ticks asks for.
export function moment(ns, tick) {
  const [size, unit] =
    tick >= 1e9 || ns === 0
      ? [1e9, "s"]
      : (STEPS.find(([size]) => Math.max(ns, tick * 10) >= size) ?? STEPS[3]);
  const decimals = Math.max(0, Math.ceil(-Math.log10(tick / size) - 1e-9));
  return `${(ns / size).toFixed(ns === 0 ? 0 : Math.min(decimals, 9))} ${unit}`;
}

export function count(value) {
  return Math.round(value).toLocaleString("en-US");
}

export function percent(part, whole) {
  if (!(whole > 0)) return "–";
  const value = (100 * part) / whole;
  return value > 0 && value < 0.1 ? "< 0.1 %" : `${value.toFixed(value < 9.95 ? 1 : 0)} %`;
}

// "1 task", "2 tasks".
export function counted(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

// The name of a file without its folders; the whole path stands in the details.
export function fileName(path) {
  return path.slice(path.lastIndexOf("/") + 1);
}
