// The rows above the lanes: what the loop itself did.

import { duration } from "./format.js";
import { drawRuler, RULER } from "./draw-ruler.js";
import { eachVisible } from "./visible.js";
import { markRowsOf } from "./mark-rows.js";

const THREADS = 8; // rows of executor jobs at most; more than that share the last one

// Return the rows that a trace has: { name, hint, height, draw(pen, view, y), group, order }.
export function loopRowsOf(model, busy) {
  const rows = [
    {
      name: "Time",
      hint: "Moments since the recording began. ▼ stall: the loop was held.",
      height: RULER,
      draw: (pen, view) => drawRuler(pen, view, model),
    },
    {
      name: "Loop busy",
      hint: "The part of the time in which the loop ran callbacks and steps, from 0 to 100 %.",
      height: 36,
      draw: (pen, view, y) => drawBusy(pen, view, busy, y, 36),
      group: "turns",
    },
    {
      name: `Ready queue ≤ ${busy.readyMost}`,
      hint: "How many callbacks and steps were waiting for their turn, up to the most in this recording.",
      height: 26,
      draw: (pen, view, y) => drawReady(pen, view, busy, y, 26),
      group: "turns",
    },
  ];
  rows.splice(1, 0, ...markRowsOf(model));
  const bars = (name, hint, group, style) => {
    if (model[group].length > 0)
      rows.push({
        name,
        hint,
        height: 16,
        group,
        draw: (pen, view, y) => drawBars(pen, view, model[group], y, 16, style(pen)),
      });
  };
  bars(
    "Callbacks",
    "Callbacks and events of transports that ran in the loop, between the steps of tasks.",
    "callbacks",
    () => ["running", "solid"],
  );
  bars(
    "Waiting for events",
    "The loop asked the system what is ready. A wide bar: it had nothing to run and slept.",
    "polls",
    () => ["idle", "dots"],
  );
  bars("Garbage collector", "Pauses of Python's garbage collector.", "gc", () => ["purple", "grid"]);
  if (model.executor.length > 0) rows.push(...threadRows(model.executor));
  let top = 0;
  for (const row of rows) {
    row.top = top;
    top += row.height;
  }
  return { rows, height: top };
}

function drawBusy(pen, view, busy, y, height) {
  const inner = height - 6;
  const base = y + height - 2;
  const { context, palette } = pen;
  pen.flush();
  pen.drawn++;
  context.beginPath();
  context.moveTo(0, base);
  for (let x = 0; x < pen.width; x += 2) {
    const [t0, t1] = [view.time(x), view.time(x + 2)];
    const ran = busy.between(t0, t1);
    const level = ran > 0 ? base - Math.max(inner * Math.min(ran / (t1 - t0), 1), 1.5) : base;
    context.lineTo(x, level);
    context.lineTo(x + 2, level);
  }
  context.lineTo(pen.width, base);
  context.fillStyle = palette.running;
  context.fill();
  pen.line(0, base - inner, pen.width, base - inner, palette.grid);
  scale(pen, "100 %", y + 9);
}

function drawReady(pen, view, busy, y, height) {
  const base = y + height - 2;
  const most = Math.max(busy.readyMost, 1);
  for (let x = 0; x < pen.width; x += 2) {
    const depth = busy.readyIn(view.time(x), view.time(x + 2));
    const tall = Math.round(((height - 6) * depth) / most);
    if (depth > 0) pen.bar(x, base - Math.max(tall, 1), 2, Math.max(tall, 1), pen.palette.ready);
  }
  pen.line(0, base + 1.5, pen.width, base + 1.5, pen.palette.grid);
}

function scale(pen, text, y) {
  const wide = pen.measure(text);
  pen.bar(pen.width - wide - 4, y - 6, wide + 4, 12, pen.palette.surface, 0.8);
  pen.text(text, pen.width - 3, y, pen.palette.muted, "right");
}

function drawBars(pen, view, group, y, height, [colour, pattern]) {
  const style = pen.fill(colour, pattern);
  eachVisible(view, group.begin_ns, group.end_ns, 0, group.length, (left, right, first, last) => {
    pen.bar(left, y + 3, right - left, height - 6, last - first > 1 ? pen.palette[colour] : style);
  });
  pen.flush();
}

// Jobs of the executor, laid out so that no two of a row overlap.
function threadRows(executor) {
  const rows = [];
  for (let job = 0; job < executor.length; job++) {
    let row = rows.find((each) => each.until <= executor.begin_ns[job]);
    if (row === undefined && rows.length < THREADS) rows.push((row = { until: 0, jobs: [] }));
    row ??= rows.at(-1);
    row.until = Math.max(row.until, executor.end_ns[job]);
    row.jobs.push(job);
  }
  return rows.map(({ jobs }, index) => {
    const begin = Float64Array.from(jobs, (job) => executor.begin_ns[job]);
    const end = Float64Array.from(jobs, (job) => executor.end_ns[job]);
    return {
      name: rows.length === 1 ? "Threads" : `Thread ${index + 1}`,
      hint: "Jobs of run_in_executor and to_thread, beside the loop.",
      height: 18,
      group: "executor",
      order: jobs,
      begin,
      end,
      draw: (pen, view, y) => drawJobs(pen, view, begin, end, y),
    };
  });
}

function drawJobs(pen, view, begin, end, y) {
  eachVisible(view, begin, end, 0, begin.length, (left, right, first, last) => {
    pen.bar(left, y + 2, right - left, 14, last - first > 1 ? pen.palette.job : pen.fill("job", "vertical"));
    const text = duration(end[first] - begin[first]);
    const from = Math.max(left, 0);
    if (Math.min(right, pen.width) - from < pen.measure(text) + 16) return;
    pen.bar(from + 4, y + 4, pen.measure(text) + 4, 10, pen.palette.surface);
    pen.text(text, from + 6, y + 9, pen.palette.text);
  });
  pen.flush();
}
