// The ruler: moments, and the places where something stands out.

import { duration, moment } from "./format.js";

export const RULER = 26; // pixels

// The distance between two ticks: 1, 2 or 5 times a power of ten, about a hundred pixels.
export function tickOf(view) {
  const wanted = (view.span / view.width) * 110;
  const power = 10 ** Math.floor(Math.log10(wanted));
  return power * ([1, 2, 5].find((factor) => factor * power >= wanted) ?? 10);
}

export function drawRuler(pen, view, model) {
  const { palette } = pen;
  const tick = tickOf(view);
  const taken = drawStalls(pen, view, model.stalls);
  for (
    let time = Math.max(Math.ceil(view.begin / tick), 0) * tick;
    time <= Math.min(view.end(), view.total);
    time += tick
  ) {
    const x = view.x(time);
    const text = moment(time, tick);
    const right = x + 3 + pen.measure(text);
    pen.line(x, RULER - 6, x, RULER, palette.line);
    if (right < pen.width && !taken.some((place) => place.left < right && x < place.right))
      pen.text(text, x + 3, 9, palette.muted);
  }
  pen.line(0, RULER - 0.5, pen.width, RULER - 0.5, palette.grid);
}

export function drawGrid(pen, view, height) {
  const tick = tickOf(view);
  for (
    let time = Math.max(Math.ceil(view.begin / tick), 0) * tick;
    time <= Math.min(view.end(), view.total);
    time += tick
  ) {
    pen.line(view.x(time), 0, view.x(time), height, pen.palette.grid);
  }
}

// Stalls: a red band, with how long it was if there is room and else with a triangle. Return where the texts stand.
function drawStalls(pen, view, stalls) {
  const taken = [];
  for (const row of visibleStalls(view, stalls)) {
    const left = view.x(stalls.begin_ns[row]);
    const right = Math.max(view.x(stalls.end_ns[row]), left + 2);
    pen.bar(left, RULER - 5, right - left, 5, pen.palette.alarm);
    pen.flush();
    const middle = (Math.max(left, 0) + Math.min(right, pen.width)) / 2;
    const text = `▼ stall ${duration(stalls.end_ns[row] - stalls.begin_ns[row])}`;
    const wide = pen.measure(text) + 8;
    if (right - left > wide) {
      taken.push({ left: middle - wide / 2, right: middle + wide / 2 });
      pen.text(text, middle, RULER - 13, pen.palette.alarm, "center");
    } else
      pen.shape(
        [
          [middle - 6, RULER - 12],
          [middle + 6, RULER - 12],
          [middle, RULER - 3],
        ],
        pen.palette.alarm,
      );
  }
  return taken;
}

// At most as many stalls as there are pixels to mark them in.
export function visibleStalls(view, stalls) {
  const rows = [];
  let last = -Infinity;
  for (let row = 0; row < stalls.length && stalls.begin_ns[row] <= view.end(); row++) {
    if (stalls.end_ns[row] < view.begin) continue;
    const right = view.x(stalls.end_ns[row]);
    if (right - last < 1) continue;
    last = right;
    rows.push(row);
  }
  return rows;
}
