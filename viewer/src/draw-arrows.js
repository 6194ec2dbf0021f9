// Arrows from the task that woke another to the one that was woken.

import { LANE } from "./draw-lane.js";
import { firstAtLeast } from "./search-sorted.js";

const MOST_ARROWS = 3000; // in one picture; more than that would be a black box
const MOST_STEPS = 20000; // looked at for one picture

// Draw the arrows of one task, to it and from it, or all of them when `task` is -1. Return how many are drawn, and whether some are left out.
export function drawArrows(pen, view, model, lanes, scroll, task) {
  const { steps } = model;
  const drawn = new Set();
  const [rows, all] = task === -1 ? visibleSteps(view, steps) : stepsOf(view, model, task);
  let left = rows.length < all;
  for (const step of rows) {
    const x = Math.round(view.x(steps.ready_ns[step]));
    if (x < 0 || x > pen.width || steps.waker_task[step] <= 0) continue;
    const from = model.taskAt(steps.waker_task[step]);
    const to = model.taskAt(steps.task[step]);
    if (from === -1 || to === -1 || lanes.rowOf[from] === lanes.rowOf[to]) continue;
    if (drawn.size >= MOST_ARROWS) {
      left = true;
      break;
    }
    const key = `${x} ${lanes.rowOf[from]} ${lanes.rowOf[to]}`;
    if (drawn.has(key)) continue;
    drawn.add(key);
    drawArrow(pen, x, lanes.rowOf[from] * LANE - scroll, lanes.rowOf[to] * LANE - scroll);
  }
  return { drawn: drawn.size, left };
}

// The steps in the window, evenly thinned out when there are very many; and how many there are.
function visibleSteps(view, steps) {
  const first = firstAtLeast(steps.begin_ns, view.begin);
  const all = firstAtLeast(steps.begin_ns, view.end(), first) - first;
  const wanted = Math.min(all, MOST_STEPS);
  return [Array.from({ length: wanted }, (_, index) => first + Math.floor((index * all) / wanted)), all];
}

// The same of the steps of one task and of those that it woke.
function stepsOf(view, model, task) {
  const { begin_ns } = model.steps;
  const rows = [];
  let all = 0;
  for (const of of [model.stepsOf.of(task), model.woken.of(task)]) {
    for (const step of of) {
      if (begin_ns[step] < view.begin || begin_ns[step] > view.end()) continue;
      all++;
      if (rows.length < MOST_STEPS) rows.push(step);
    }
  }
  return [rows, all];
}

function drawArrow(pen, x, fromTop, toTop) {
  const [from, to] = [fromTop + LANE / 2, toTop + LANE / 2];
  if (Math.max(from, to) < 0 || Math.min(from, to) > pen.height) return;
  const colour = pen.palette.arrow;
  const down = to > from ? 1 : -1;
  const tip = to - down * (LANE / 2 - 3);
  pen.line(x + 0.5, from, x + 0.5, tip, colour, 1.5);
  pen.shape(
    [
      [x + 0.5, tip + down * 4],
      [x - 3.5, tip - down * 3],
      [x + 4.5, tip - down * 3],
    ],
    colour,
  );
  pen.shape(
    [
      [x - 2, from - 2.5],
      [x + 3, from - 2.5],
      [x + 3, from + 2.5],
      [x - 2, from + 2.5],
    ],
    colour,
  );
}
