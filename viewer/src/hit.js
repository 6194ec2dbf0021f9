// What stands below the pointer. A thing is { group, row } or, for tasks, { group: "task" | "segment", task, at }.

import { LANE } from "./draw-lane.js";
import { RULER, visibleStalls } from "./draw-ruler.js";
import { firstAbove } from "./search-sorted.js";
import { READY, RUNNING } from "./words.js";

const NEAR = 3; // pixels

export function thingOnLane({ model, lanes, view }, x, y) {
  const row = Math.floor(y / LANE);
  if (row < 0 || row >= lanes.rows.length) return null;
  const task = lanes.rows[row];
  const at = segmentNear(model, view, task, x);
  return at === -1 ? { group: "task", task } : { group: "segment", task, at };
}

// The segment at x: of those that are near the one that ran, then one that was ready, then what is exactly there.
function segmentNear({ segments }, view, task, x) {
  const [first, last] = [segments.start[task], segments.start[task + 1]];
  const time = view.time(x);
  let best = -1;
  let rank = Infinity;
  let looked = 0;
  for (
    let at = firstAbove(segments.end, view.time(x - NEAR), first, last);
    at < last && looked < 200;
    at++, looked++
  ) {
    if (segments.begin[at] > view.time(x + NEAR)) break;
    const inside = segments.begin[at] <= time && time < segments.end[at];
    const narrow = ((segments.end[at] - segments.begin[at]) / view.span) * view.width < 2 * NEAR;
    const own =
      inside && !narrow ? 0 : segments.state[at] === RUNNING ? 1 : segments.state[at] === READY ? 2 : 3;
    if (own < rank) [rank, best] = [own, at];
  }
  return best;
}

export function thingOnLoop({ model, loopRows, view }, x, y) {
  if (y < RULER) return stallNear(model, view, x);
  const row = loopRows.rows.find((each) => y >= each.top && y < each.top + each.height);
  if (row?.group === undefined) return null;
  const group = model[row.group];
  const begin = row.begin ?? group.begin_ns;
  const end = row.end ?? group.end_ns;
  const at = firstAbove(end, view.time(x - NEAR));
  if (at >= end.length || begin[at] > view.time(x + NEAR)) return null;
  return { group: row.group, row: row.order === undefined ? at : row.order[at] };
}

function stallNear({ stalls }, view, x) {
  for (const row of visibleStalls(view, stalls)) {
    const [left, right] = [view.x(stalls.begin_ns[row]), view.x(stalls.end_ns[row])];
    if (x >= Math.min(left, (left + right) / 2 - 6) && x <= Math.max(right, (left + right) / 2 + 6))
      return { group: "stalls", row };
  }
  return null;
}
