// The look of each state: a colour, a pattern and a height on its lane.

import { FIRST_WAIT, READY, RUNNING, WAITS } from "./words.js";

const TILE = 8;

// Strokes of one tile, in its own coordinates; they meet at its edges.
const MARKS = {
  slash: [
    [-2, 2, 2, -2],
    [0, 8, 8, 0],
    [6, 10, 10, 6],
  ],
  backslash: [
    [-2, 6, 2, 10],
    [0, 0, 8, 8],
    [6, -2, 10, 2],
  ],
  cross: [
    [0, 0, 8, 8],
    [8, 0, 0, 8],
  ],
  horizontal: [
    [0, 2, 8, 2],
    [0, 6, 8, 6],
  ],
  vertical: [
    [2, 0, 2, 8],
    [6, 0, 6, 8],
  ],
  sparse: [[4, 0, 4, 8]],
  grid: [
    [0, 4, 8, 4],
    [4, 0, 4, 8],
  ],
  chevron: [
    [1, 0, 5, 4],
    [5, 4, 1, 8],
  ],
  double: [
    [1, 0, 4, 4],
    [4, 4, 1, 8],
    [5, 0, 8, 4],
    [8, 4, 5, 8],
  ],
  dashes: [[0, 4, 4, 4]],
};
const DOTS = {
  dots: [
    [2, 2],
    [6, 6],
  ],
  circles: [[4, 4]],
};

const BY_WAIT = {
  unknown: ["grey", "dashes"],
  sleep: ["grey", "dots"],
  turn: ["grey", "sparse"],
  future: ["grey", "cross"],
  io: ["green", "horizontal"],
  executor: ["green", "vertical"],
  lock: ["purple", "cross"],
  semaphore: ["purple", "vertical"],
  event: ["purple", "circles"],
  queue: ["yellow", "backslash"],
  task: ["sky", "chevron"],
  gather: ["sky", "double"],
};

// Top and height of a bar on a lane, in parts of the lane's height.
const RUNS = { top: 0.1, height: 0.8 };
const IS_READY = { top: 0.22, height: 0.56 };
const IS_WAITING = { top: 0.3, height: 0.4 };

export function lookOf(state) {
  if (state === RUNNING) return { colour: "running", pattern: "solid", ...RUNS };
  if (state === READY) return { colour: "ready", pattern: "slash", ...IS_READY };
  const [colour, pattern] = BY_WAIT[WAITS[state - FIRST_WAIT]] ?? BY_WAIT.unknown;
  return { colour, pattern, ...IS_WAITING };
}

// Return fill(colour, pattern): what a canvas fills a bar with. Patterns are drawn once and kept.
export function fillsOf(context, palette, ratio) {
  const made = new Map();
  const fill = (colour, pattern) => {
    if (pattern === "solid") return palette[colour];
    const key = `${colour} ${pattern}`;
    if (!made.has(key)) made.set(key, context.createPattern(tile(palette, colour, pattern, ratio), "repeat"));
    return made.get(key);
  };
  // Patterns hang on the trace, not on the screen: they move with what they fill.
  fill.moveTo = (x, y) => {
    const matrix = new DOMMatrix([1 / ratio, 0, 0, 1 / ratio, x % TILE, y % TILE]);
    for (const pattern of made.values()) pattern.setTransform(matrix);
  };
  return fill;
}

function tile(palette, colour, pattern, ratio) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = Math.round(TILE * ratio);
  const context = canvas.getContext("2d");
  context.scale(canvas.width / TILE, canvas.height / TILE);
  context.fillStyle = palette.surface;
  context.fillRect(0, 0, TILE, TILE);
  context.globalAlpha = 0.25;
  context.fillStyle = palette[colour];
  context.fillRect(0, 0, TILE, TILE);
  context.globalAlpha = 1;
  context.strokeStyle = palette[colour];
  context.lineWidth = pattern === "slash" ? 2.2 : 1.2;
  context.beginPath();
  for (const [x0, y0, x1, y1] of MARKS[pattern] ?? []) {
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
  }
  context.stroke();
  for (const [x, y] of DOTS[pattern] ?? []) {
    context.beginPath();
    context.arc(x, y, pattern === "dots" ? 1.1 : 2.2, 0, 7);
    if (pattern === "dots") context.fill();
    else context.stroke();
  }
  return canvas;
}

// A small picture of a state for the legend and the tables.
export function swatch(state, palette) {
  const canvas = document.createElement("canvas");
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [26, 14];
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  canvas.className = "swatch";
  canvas.setAttribute("aria-hidden", "true");
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const look = lookOf(state);
  const fill = fillsOf(context, palette, ratio);
  context.fillStyle = fill(look.colour, look.pattern);
  const tall = state === RUNNING ? height : state === READY ? 11 : 9;
  context.fillRect(0, (height - tall) / 2, width, tall);
  context.strokeStyle = palette[look.colour];
  context.strokeRect(0.5, (height - tall) / 2 + 0.5, width - 1, tall - 1);
  return canvas;
}
