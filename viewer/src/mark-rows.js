// Marks, a row for each thing that they are about: what stands before the colon of their texts.

import { eachVisible } from "./visible.js";

const SUBJECTS = 8; // rows at most; more than that share the last one
const HEIGHT = 30;
const BAR = 8; // pixels of what is told many times
const CLUSTER = 8; // pixels between diamonds that have one text together

// Return the rows for a model: { name, hint, height, group, order, begin, end, draw }.
export function markRowsOf(model) {
  const rows = new Map();
  for (let mark = 0; mark < model.marks.length; mark++) {
    const [subject, what] = split(model, mark);
    const name = rows.has(subject) || rows.size < SUBJECTS ? subject : [...rows.keys()].at(-1);
    if (!rows.has(name)) rows.set(name, []);
    put(rows.get(name), mark, model.marks.at_ns[mark], name === subject ? what : `${subject}: ${what}`);
  }
  return [...rows].map(([name, runs]) => {
    const begin = Float64Array.from(runs, (run) => run.begin);
    const end = Float64Array.from(runs, (run) => run.end);
    return {
      name,
      hint: "What the program or a library wrote down. ◆ once, a bar: the same again and again.",
      height: HEIGHT,
      group: "marks",
      order: runs.map((run) => run.mark),
      begin,
      end,
      draw: (pen, view, y) => drawRuns(pen, view, runs, begin, end, y),
    };
  });
}

function split(model, mark) {
  const text = model.text(model.marks.text[mark]) || "a mark";
  const colon = text.indexOf(": ");
  if (colon > 0) return [text.slice(0, colon), text.slice(colon + 2)];
  return [model.text(model.marks.source[mark]) || "Marks", text];
}

// Add a mark to the runs of a row: what is said again becomes longer.
function put(runs, mark, at, what) {
  const last = runs.at(-1);
  if (last?.what === what) {
    last.end = at;
    last.count++;
  } else runs.push({ mark, begin: at, end: at, count: 1, what });
}

function drawRuns(pen, view, runs, begin, end, y) {
  const { palette } = pen;
  const low = y + HEIGHT - BAR - 3;
  const places = [];
  eachVisible(view, begin, end, 0, runs.length, (left, right, first, last) => {
    const many = runs[first].count > 1 && last - first === 1;
    if (many) pen.bar(left, low, Math.max(right - left, 2), BAR, palette.arrow, 0.45);
    else places.push({ x: left, run: runs[last - 1] });
    const text = `${runs[first].what} × ${runs[first].count}`;
    const from = Math.max(left, 0);
    if (!many || Math.min(right, pen.width) - from < pen.measure(text) + 24) return;
    pen.flush();
    pen.bar(from + 10, low, pen.measure(text) + 6, BAR, palette.surface);
    pen.text(text, from + 13, low + BAR / 2, palette.text);
  });
  pen.flush();
  for (const { x } of places) diamond(pen, x, low + BAR / 2);
  drawTexts(pen, places, y + 9);
  pen.line(0, y + HEIGHT - 0.5, pen.width, y + HEIGHT - 0.5, palette.grid);
}

function diamond(pen, x, y) {
  const corners = [
    [x, y - 6],
    [x + 5, y],
    [x, y + 6],
    [x - 5, y],
  ];
  pen.shape(corners, pen.palette.arrow);
}

// Of diamonds that stand close together the last one has its text: it says how things are from there on.
function drawTexts(pen, places, y) {
  const shown = places.filter(({ x }, index) => !(places[index + 1]?.x - x < CLUSTER));
  shown.forEach(({ x, run }, index) => {
    const room = (shown[index + 1]?.x ?? pen.width) - x - 6;
    const after = run.what.includes("→") ? run.what.slice(run.what.indexOf("→")) : run.what;
    const texts = [run.what, after, after.replace(/ \(.*/, "")];
    const text = texts.find((each) => pen.measure(each) < room);
    if (text !== undefined && x > -4) pen.text(text, Math.max(x - 4, 2), y, pen.palette.text);
  });
}
