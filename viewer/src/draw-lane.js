// One lane: what one task did.

import { duration, fileName } from "./format.js";
import { lookOf } from "./patterns.js";
import { eachVisible } from "./visible.js";
import { READY, RUNNING, stateName } from "./words.js";

export const LANE = 22; // pixels

// Draw the segments of a task with the top of its lane at `y`.
export function drawLane(pen, view, model, task, y) {
  const { segments, tasks } = model;
  const left = Math.max(view.x(Math.max(tasks.created_ns[task], 0)), 0);
  const right = Math.min(
    view.x(tasks.ended_ns[task] >= 0 ? tasks.ended_ns[task] : model.duration),
    pen.width,
  );
  if (right < 0 || left > pen.width) return;
  pen.bar(left, y + LANE / 2, Math.max(right - left, 1), 1, pen.palette.line);
  pen.flush();
  eachVisible(
    view,
    segments.begin,
    segments.end,
    segments.start[task],
    segments.start[task + 1],
    (from, to, first, last) => {
      if (last - first === 1) drawOne(pen, model, first, from, to, y);
      else drawMany(pen, segments, first, last, from, y);
    },
  );
  pen.flush();
  drawEnd(pen, view, tasks, task, y);
}

function drawOne(pen, model, at, from, to, y) {
  const state = model.segments.state[at];
  const look = lookOf(state);
  const top = y + Math.round(LANE * look.top);
  const height = Math.round(LANE * look.height);
  const style = pen.fill(look.colour, look.pattern);
  pen.bar(from, top, to - from, height, style);
  const [x0, x1] = [Math.max(from, 0), Math.min(to, pen.width)];
  if (x1 - x0 < 34) return;
  if (state !== RUNNING)
    pen.outline(from + 0.5, top + 0.5, to - from - 1, height - 1, pen.palette[look.colour], 1);
  const text = pen.fitting(labels(model, at), x1 - x0 - 20);
  if (text === "") return;
  if (state === RUNNING) pen.text(text, x0 + 5, y + LANE / 2, pen.palette.onSolid);
  else {
    pen.bar(x0 + 8, y + 4, pen.measure(text) + 6, LANE - 8, pen.palette.surface);
    pen.text(text, x0 + 11, y + LANE / 2, pen.palette.text);
  }
}

// What a bar says of itself, the longest first.
function labels(model, at) {
  const { segments, waits } = model;
  const state = segments.state[at];
  const took = duration(segments.end[at] - segments.begin[at]);
  const row = segments.wait[at];
  const operation = row === -1 ? "" : model.text(waits.operation[row]);
  const name =
    operation === "put" || operation === "get" ? `${stateName(state)} ${operation}` : stateName(state);
  const site = row === -1 ? null : model.site(waits.site[row]);
  const place = site === null ? "" : ` · ${fileName(site.file)}:${site.line}`;
  return [`${name} ${took}${place}`, `${name} ${took}`, name];
}

// Many short segments in one pixel: the more of them was running, the darker.
function drawMany(pen, segments, first, last, column, y) {
  const ran = segments.ran[last] - segments.ran[first];
  const spent = segments.end[last - 1] - segments.begin[first];
  const running = lookOf(RUNNING);
  if (ran > 0 || spent === 0) {
    const alpha = Math.max(Math.ceil((4 * ran) / Math.max(spent, 1)) / 4, 0.5);
    pen.bar(
      column,
      y + Math.round(LANE * running.top),
      1,
      Math.round(LANE * running.height),
      pen.palette.running,
      alpha,
    );
    return;
  }
  const state =
    segments.state[first] === READY && last - first > 1 ? segments.state[first + 1] : segments.state[first];
  const look = lookOf(state);
  pen.bar(
    column,
    y + Math.round(LANE * look.top),
    1,
    Math.round(LANE * look.height),
    pen.palette[look.colour],
  );
}

// How the task ended, by shape: a bar, a cross, a slashed box; an arrow when it has not.
function drawEnd(pen, view, tasks, task, y) {
  const x = view.x(tasks.ended_ns[task]);
  const { palette } = pen;
  const middle = y + LANE / 2;
  if (tasks.ended_ns[task] < 0 || x < -8 || x > pen.width + 8) return;
  const outcome = tasks.outcome[task];
  if (outcome === 2) {
    pen.line(x - 4, middle - 4, x + 4, middle + 4, palette.alarm, 2.5);
    pen.line(x - 4, middle + 4, x + 4, middle - 4, palette.alarm, 2.5);
  } else if (outcome === 3) {
    pen.outline(x - 4, middle - 4, 8, 8, palette.muted, 1.5);
    pen.line(x - 4, middle + 4, x + 4, middle - 4, palette.muted, 1.5);
  } else pen.line(x, y + 5, x, y + LANE - 5, palette.line, 2);
}
