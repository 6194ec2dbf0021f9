// What each task did, as segments that follow each other: ready, running, waiting.

import { groupedRows } from "./grouped-rows.js";
import { FIRST_WAIT, READY, RUNNING, WAITS } from "./words.js";

// Return the segments of all lanes. Those of a task stand at [start[task], start[task + 1]), in order of time.
//   begin, end: nanoseconds · state: READY, RUNNING or FIRST_WAIT + kind · step: its row, -1 before the first ·
//   wait: row of the wait, -1 when it was not recorded · ran: nanoseconds run in all segments before this one
export function segmentsOf({ steps, waits, tasks, taskAt, stepsOf, duration }) {
  const room = steps.length * 3 + waits.length + tasks.length;
  const all = {
    start: new Uint32Array(tasks.length + 1),
    begin: new Float64Array(room),
    end: new Float64Array(room),
    state: new Uint8Array(room),
    step: new Int32Array(room),
    wait: new Int32Array(room),
    ran: new Float64Array(room + 1),
    length: 0,
  };
  const waitsOf = groupedRows(waits.task, taskAt, tasks.length);
  for (let task = 0; task < tasks.length; task++) {
    all.start[task] = all.length;
    addTask(all, {
      steps,
      waits,
      rows: stepsOf.of(task),
      waitRows: waitsOf.of(task),
      end: endOf(tasks, task, duration),
      ended: tasks.ended_ns[task] >= 0,
    });
  }
  all.start[tasks.length] = all.length;
  for (let at = 0; at < all.length; at++) {
    all.ran[at + 1] = all.ran[at] + (all.state[at] === RUNNING ? all.end[at] - all.begin[at] : 0);
  }
  return all;
}

export function endOf(tasks, task, duration) {
  return tasks.ended_ns[task] >= 0 ? tasks.ended_ns[task] : duration;
}

function addTask(all, { steps, waits, rows, waitRows, end, ended }) {
  let wait = 0;
  let now = 0;
  const add = (begin, until, state, step, row) => {
    const from = Math.max(begin, now);
    if (until <= from && state !== RUNNING) return;
    const at = all.length++;
    all.begin[at] = from;
    all.end[at] = now = Math.max(until, from);
    all.state[at] = state;
    all.step[at] = step;
    all.wait[at] = row;
  };
  // The wait that began behind `from` and lasts until `until`, if one was recorded.
  const addWait = (from, until, step) => {
    let row = -1;
    while (wait < waitRows.length && waits.begin_ns[waitRows[wait]] < until) row = waitRows[wait++];
    if (row === -1 && from === null) return;
    add(
      from ?? waits.begin_ns[row],
      until,
      FIRST_WAIT + (row === -1 ? WAITS.indexOf("unknown") : waits.kind[row]),
      step,
      row,
    );
  };
  let last = -1;
  for (const row of rows) {
    addWait(last === -1 ? null : steps.end_ns[last], steps.ready_ns[row], last);
    add(steps.ready_ns[row], steps.begin_ns[row], READY, row, -1);
    add(steps.begin_ns[row], steps.end_ns[row], RUNNING, row, -1);
    last = row;
  }
  // Behind the last step a task that ended waited only if a wait says so.
  addWait(last === -1 || ended ? null : steps.end_ns[last], end, last);
}
