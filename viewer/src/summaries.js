// The rows of the summary tables.

import { endOf } from "./segments.js";
import { firstAbove, firstAtLeast } from "./search-sorted.js";
import { FIRST_WAIT, RUNNING } from "./words.js";

const MOST_ROWS = 1000; // rows of the tables that keep only the longest

export function taskRows({ tasks, duration }, totals) {
  return Array.from({ length: tasks.length }, (_, task) => ({
    task,
    running: totals.running[task],
    longest: totals.longest[task],
    ready: totals.ready[task],
    waiting: totals.waiting[task],
    steps: totals.steps[task],
    lived: endOf(tasks, task, duration) - Math.max(tasks.created_ns[task], 0),
  }));
}

export function functionRows(model, totals) {
  const bySite = new Map();
  for (const row of taskRows(model, totals)) {
    const site = model.tasks.function[row.task];
    let entry = bySite.get(site);
    if (entry === undefined)
      bySite.set(
        site,
        (entry = { site, task: row.task, tasks: 0, running: 0, longest: 0, ready: 0, waiting: 0, steps: 0 }),
      );
    entry.tasks++;
    for (const sum of ["running", "ready", "waiting", "steps"]) entry[sum] += row[sum];
    if (row.longest > entry.longest) [entry.longest, entry.task] = [row.longest, row.task];
  }
  return [...bySite.values()];
}

export function slowSteps(model) {
  return longest(model, (state) => state === RUNNING);
}

export function longWaits(model) {
  return longest(model, (state) => state >= FIRST_WAIT);
}

// The longest segments of a kind, with their tasks.
function longest({ segments, tasks }, wanted) {
  let found = [];
  let least = -1;
  for (let task = 0; task < tasks.length; task++) {
    for (let at = segments.start[task]; at < segments.start[task + 1]; at++) {
      const took = segments.end[at] - segments.begin[at];
      if (took <= least || !wanted(segments.state[at])) continue;
      found.push({ at, task, took, begin: segments.begin[at], wait: segments.wait[at] });
      if (found.length >= 2 * MOST_ROWS) {
        found = found.sort((a, b) => b.took - a.took).slice(0, MOST_ROWS);
        least = found.at(-1).took;
      }
    }
  }
  return found.sort((a, b) => b.took - a.took).slice(0, MOST_ROWS);
}

// The longest turns, each with the three that took the most of it.
export function turnRows(model) {
  const { turns } = model;
  const rows = Array.from({ length: turns.length }, (_, row) => ({
    row,
    begin: turns.begin_ns[row],
    took: turns.end_ns[row] - turns.begin_ns[row],
    ready: Math.max(turns.ready[row], 0),
  }));
  rows.sort((a, b) => b.took - a.took);
  return rows
    .slice(0, 100)
    .map((row) => ({ ...row, shares: sharesOf(model, row.begin, row.begin + row.took) }));
}

// Who ran between two moments: [{ name, ran }], the three that took the most.
export function sharesOf(model, begin, end) {
  const byName = new Map();
  const add = (group, nameOf) => {
    const first = firstAbove(group.end_ns, begin);
    for (let row = first; row < group.length && group.begin_ns[row] < end; row++) {
      const name = nameOf(row);
      byName.set(
        name,
        (byName.get(name) ?? 0) + Math.min(group.end_ns[row], end) - Math.max(group.begin_ns[row], begin),
      );
    }
  };
  add(model.steps, (row) => {
    const task = model.taskAt(model.steps.task[row]);
    return task === -1 ? "a task" : model.functionName(task) || model.taskName(task);
  });
  add(model.callbacks, (row) => model.text(model.callbacks.name[row]) || "a callback");
  return [...byName]
    .map(([name, ran]) => ({ name, ran }))
    .sort((a, b) => b.ran - a.ran)
    .slice(0, 3);
}

// The segments of some lanes within a window, in order of time, and how many there are in all.
export function segmentsIn({ segments }, tasks, begin, end, most) {
  const items = [];
  let all = 0;
  for (const task of tasks) {
    const last = segments.start[task + 1];
    for (
      let at = firstAtLeast(segments.end, begin, segments.start[task], last);
      at < last && segments.begin[at] < end;
      at++
    ) {
      all++;
      if (items.length < most)
        items.push({
          at,
          task,
          begin: segments.begin[at],
          took: segments.end[at] - segments.begin[at],
          wait: segments.wait[at],
        });
    }
  }
  return { items: items.sort((a, b) => a.begin - b.begin), all };
}
