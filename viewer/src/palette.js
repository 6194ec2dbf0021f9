// Colours: the palette of Okabe and Ito, which colour-blind people tell apart, in two brightnesses.
// No two states differ by colour alone: shape and pattern say the same (patterns.js).

const LIGHT = {
  surface: "#ffffff",
  stripe: "#f5f6f8",
  grid: "#e1e4e9",
  line: "#9aa1ad",
  text: "#1c2128",
  muted: "#59616e",
  select: "#1c2128",
  running: "#0072b2",
  ready: "#d98300",
  alarm: "#c84b00",
  good: "#00785a",
  arrow: "#5b3f9e",
  idle: "#b9c0ca",
  job: "#00785a",
  grey: "#6b7280",
  green: "#00855f",
  purple: "#a8447e",
  yellow: "#8d7a00",
  sky: "#2a86bd",
  onSolid: "#ffffff",
};

const DARK = {
  surface: "#14171c",
  stripe: "#1a1e25",
  grid: "#2b313b",
  line: "#616b7a",
  text: "#e8ebf0",
  muted: "#a3adbb",
  select: "#ffffff",
  running: "#4ba3e3",
  ready: "#f0a92e",
  alarm: "#ff7a33",
  good: "#2cc79b",
  arrow: "#c4adff",
  idle: "#4b5563",
  job: "#2cc79b",
  grey: "#98a2b1",
  green: "#1fbf92",
  purple: "#e08fbd",
  yellow: "#f0e442",
  sky: "#7cc6f2",
  onSolid: "#0b0e12",
};

export function paletteOf(theme) {
  return theme === "dark" ? DARK : LIGHT;
}
