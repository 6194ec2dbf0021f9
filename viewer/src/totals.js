// How long each task was in each state, and how often it was switched to.

import { FIRST_WAIT, READY, RUNNING } from "./words.js";

// Return columns with one row per task: ready, running, waiting, steps, longest (step), all times in nanoseconds.
export function totalsOf({ segments, tasks, stepsOf }) {
  const column = () => new Float64Array(tasks.length);
  const totals = {
    ready: column(),
    running: column(),
    waiting: column(),
    longest: column(),
    steps: column(),
  };
  for (let task = 0; task < tasks.length; task++) {
    totals.steps[task] = stepsOf.of(task).length;
    for (let at = segments.start[task]; at < segments.start[task + 1]; at++) {
      const took = segments.end[at] - segments.begin[at];
      if (segments.state[at] === READY) totals.ready[task] += took;
      else if (segments.state[at] === RUNNING) {
        totals.running[task] += took;
        if (took > totals.longest[task]) totals.longest[task] = took;
      } else totals.waiting[task] += took;
    }
  }
  return totals;
}

// The states of one task: [{ state, total, times }], the longest first.
export function statesOf({ segments }, task) {
  const byState = new Map();
  for (let at = segments.start[task]; at < segments.start[task + 1]; at++) {
    const entry = byState.get(segments.state[at]) ?? { state: segments.state[at], total: 0, times: 0 };
    entry.total += segments.end[at] - segments.begin[at];
    entry.times++;
    byState.set(entry.state, entry);
  }
  return [...byState.values()].sort((a, b) => b.total - a.total);
}

// What tasks waited for, by kind and line: [{ kind, site, total, times, longest, tasks }], the most waited first.
export function waitPlaces({ segments, waits, tasks }) {
  const places = new Map();
  for (let task = 0; task < tasks.length; task++) {
    for (let at = segments.start[task]; at < segments.start[task + 1]; at++) {
      if (segments.state[at] < FIRST_WAIT) continue;
      const row = segments.wait[at];
      const kind = segments.state[at] - FIRST_WAIT;
      const site = row === -1 ? -1 : waits.site[row];
      const key = kind * 2 ** 32 + site;
      let place = places.get(key);
      if (place === undefined)
        places.set(
          key,
          (place = { kind, site, total: 0, times: 0, longest: 0, worst: at, tasks: 0, last: -1 }),
        );
      const took = segments.end[at] - segments.begin[at];
      place.total += took;
      place.times++;
      if (place.last !== task) place.tasks++;
      place.last = task;
      if (took > place.longest) [place.longest, place.worst] = [took, at];
    }
  }
  return [...places.values()].sort((a, b) => b.total - a.total);
}
