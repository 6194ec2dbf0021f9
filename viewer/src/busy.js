// How busy the loop was between two moments, and how many items were ready.

import { firstAbove, firstAtLeast } from "./search-sorted.js";

// Return { between(t0, t1), readyIn(t0, t1), readyMost }: nanoseconds that the loop ran, the deepest queue.
export function busyOf({ turns, steps, callbacks }) {
  const { begin, end } =
    turns.length > 0 ? { begin: turns.begin_ns, end: turns.end_ns } : joined(steps, callbacks);
  const before = new Float64Array(begin.length + 1);
  for (let at = 0; at < begin.length; at++) before[at + 1] = before[at] + Math.max(end[at] - begin[at], 0);
  const until = (time) => {
    const at = firstAbove(begin, time) - 1;
    return at < 0 ? 0 : before[at] + Math.max(Math.min(time, end[at]) - begin[at], 0);
  };
  const most = pyramidOf(turns.ready);
  return {
    total: before[begin.length],
    between: (t0, t1) => until(t1) - until(t0),
    readyIn: (t0, t1) => most(firstAbove(turns.end_ns, t0), firstAtLeast(turns.begin_ns, t1)),
    readyMost: most(0, turns.length),
  };
}

// Without turns: the steps and the callbacks, in order.
function joined(steps, callbacks) {
  const pairs = [];
  for (const group of [steps, callbacks]) {
    for (let row = 0; row < group.length; row++) pairs.push([group.begin_ns[row], group.end_ns[row]]);
  }
  pairs.sort((a, b) => a[0] - b[0]);
  return {
    begin: Float64Array.from(pairs, (pair) => pair[0]),
    end: Float64Array.from(pairs, (pair) => pair[1]),
  };
}

// The largest value of any range in logarithmic time: maxima of sixteen, of sixteen of those, and so on.
function pyramidOf(values) {
  const levels = [values];
  while (levels.at(-1).length > 16) {
    const below = levels.at(-1);
    const above = new Int32Array(Math.ceil(below.length / 16));
    for (let at = 0; at < below.length; at++) above[at >> 4] = Math.max(above[at >> 4], below[at]);
    levels.push(above);
  }
  return (from, to) => {
    let largest = 0;
    for (let at = from; at < to;) {
      let level = 0;
      while (level + 1 < levels.length && at % 16 ** (level + 1) === 0 && at + 16 ** (level + 1) <= to)
        level++;
      largest = Math.max(largest, levels[level][at / 16 ** level]);
      at += 16 ** level;
    }
    return largest;
  };
}
