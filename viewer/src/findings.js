// The plain sentences on top: what was found in the trace, the most urgent first.

import { count, counted, duration, fileName, percent } from "./format.js";
import { endOf } from "./segments.js";
import { siteText } from "./model.js";
import { stackOf } from "./describe.js";
import { FIRST_WAIT, WAITS } from "./words.js";

const LONG_STEP = 50e6; // nanoseconds: a step that others notice, when no watchdog has told of it
const LONG_QUEUE = 50e6;

// Return [{ text, level: "alarm" | "warning" | "note", thing }]: a thing is where a click leads, or undefined.
export function findingsOf(model, totals, places, busy) {
  return [
    ...stallFindings(model),
    ...lostFindings(model),
    ...errorFindings(model),
    ...recordingFindings(model),
    ...queueFindings(model),
    ...waitFindings(model, places),
    summary(model, busy),
  ];
}

function inTask(model, id) {
  const task = model.taskAt(id);
  return task === -1 ? "" : ` in task ${model.taskName(task)}`;
}

// Stalls by the place that held the loop, the longest first.
function stallFindings(model) {
  const { stalls } = model;
  const rows = [...Array(stalls.length).keys()].sort((a, b) => length(stalls, b) - length(stalls, a));
  if (rows.length === 0) return longStep(model);
  const byPlace = new Map();
  for (const row of rows) {
    const place = stackOf(model, row, fileName)[0] ?? (stalls.kind[row] === "turn" ? "many short callbacks and steps together" : "");
    byPlace.set(place, [...(byPlace.get(place) ?? []), row]);
  }
  const found = [...byPlace].slice(0, 3).map(([place, [row, ...others]]) => {
    const longest = duration(length(stalls, row));
    const by = place === "" ? "" : ` by ${place}`;
    const text = others.length === 0 ? `The loop was held for ${longest}${by}${inTask(model, stalls.task[row])}.`
      : `The loop was held ${counted(others.length + 1, "time")}${by}, for ${longest} at most${inTask(model, stalls.task[row])}.`;
    return { level: "alarm", text, thing: { group: "stalls", row, task: model.taskAt(stalls.task[row]) } };
  });
  if (byPlace.size > 3) found.push({ level: "alarm", text: `It was held in ${counted(byPlace.size - 3, "more place")}; see the table of stalls.` });
  return found;
}

function length(group, row) {
  return group.end_ns[row] - group.begin_ns[row];
}

// Without a watchdog nobody knows the line, but the longest step tells the task.
function longStep(model) {
  const { segments } = model;
  let worst = -1;
  let longest = LONG_STEP;
  for (let at = 0; at < segments.length; at++) {
    const ran = segments.ran[at + 1] - segments.ran[at];
    if (ran >= longest) [longest, worst] = [ran, at];
  }
  if (worst === -1) return [];
  const task = model.taskAt(model.steps.task[segments.step[worst]]);
  const fn = siteText(model.site(model.tasks.function[task]), fileName);
  return [{ level: "alarm", text: `The loop was held for ${duration(longest)} by one step of ${fn || "a coroutine"} in task ${model.taskName(task)}.`,
    thing: { group: "segment", task, at: worst } }];
}

function lostFindings(model) {
  const { tasks, program } = model;
  if (program.ended === "running" || program.ended === "killed") return [];
  const pending = [];
  for (let task = 0; task < tasks.known; task++) if (tasks.outcome[task] === 0 && tasks.ended_ns[task] < 0) pending.push(task);
  if (pending.length === 0) return [];
  const were = pending.length === 1 ? "task was" : "tasks were";
  return [{ level: "warning", text: `${count(pending.length)} ${were} still pending at the end: ${named(model, pending)}.`, thing: { group: "task", task: pending[0] } }];
}

function named(model, list) {
  const names = list.slice(0, 3).map(model.taskName).join(", ");
  return list.length > 3 ? `${names} and ${count(list.length - 3)} more` : names;
}

function errorFindings(model) {
  const { tasks } = model;
  const raised = [];
  for (let task = 0; task < tasks.known; task++) if (tasks.outcome[task] === 2) raised.push(task);
  if (raised.length === 0) return [];
  raised.sort((a, b) => tasks.ended_ns[a] - tasks.ended_ns[b]);
  const first = raised[0];
  const error = model.text(tasks.error[first]) || "an exception";
  const begin = raised.length === 1 ? `Task ${model.taskName(first)} ended with` : `${count(raised.length)} tasks ended with an exception, the first, ${model.taskName(first)}, with`;
  return [{ level: "warning", text: `${begin} ${error}.`, thing: { group: "task", task: first } }];
}

function recordingFindings(model) {
  const found = [];
  const { ended } = model.program;
  if (model.dropped > 0) found.push({ level: "warning", text: `${counted(model.dropped, "event")} did not fit into the recording: the oldest part is missing.` });
  if (!model.complete || ended === "killed") found.push({ level: "warning", text: `The recording ends before the program did${ended === "killed" ? ": it was killed" : ""}.` });
  else if (ended === "raised") found.push({ level: "warning", text: "The program ended with an exception." });
  return found;
}

function queueFindings(model) {
  const { steps } = model;
  let worst = -1;
  let longest = LONG_QUEUE;
  for (let row = 0; row < steps.length; row++) {
    const waited = steps.begin_ns[row] - steps.ready_ns[row];
    if (steps.ready_ns[row] > 0 && waited >= longest) [longest, worst] = [waited, row];
  }
  if (worst === -1) return [];
  const task = model.taskAt(steps.task[worst]);
  if (task === -1) return [];
  return [{ level: "note", text: `A task that was ready had to wait up to ${duration(longest)} for its turn: ${model.taskName(task)}.`, thing: { group: "task", task } }];
}

// Where tasks stood in line for each other: the place with the most of it, when it was much.
function waitFindings(model, places) {
  const place = places.find((each) => inLine(model, each));
  if (place === undefined || place.total < 0.2 * lifetime(model)) return [];
  const site = siteText(model.site(place.site), fileName);
  return [{ level: "note", text: `${place.tasks === 1 ? "A task" : `${count(place.tasks)} tasks`} waited ${duration(place.total)} in sum for ${model.waitedFor(place.worst)}${site === "" ? "" : `, in ${site}`}.`,
    thing: { group: "segment", at: place.worst, task: taskOfSegment(model, place.worst) } }];
}

// Whether those who wait at a place stand in line: behind others at a lock, or for room in a queue that is full.
function inLine({ waits, segments, text }, place) {
  const row = segments.wait[place.worst];
  return ["lock", "semaphore", "executor"].includes(WAITS[place.kind]) || (WAITS[place.kind] === "queue" && row !== -1 && text(waits.operation[row]) === "put");
}

function lifetime({ tasks, duration: end }) {
  let sum = 0;
  for (let task = 0; task < tasks.length; task++) sum += endOf(tasks, task, end) - Math.max(tasks.created_ns[task], 0);
  return sum;
}

// The task whose lane holds a segment.
export function taskOfSegment({ segments, tasks }, at) {
  let low = 0;
  let high = tasks.length;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (segments.start[middle] <= at) low = middle;
    else high = middle;
  }
  return low;
}

function summary(model, busy) {
  const waits = model.segments.state.subarray(0, model.segments.length).reduce((sum, state) => sum + (state >= FIRST_WAIT ? 1 : 0), 0);
  const held = percent(busy.total, model.duration);
  return { level: "note", text: `In ${duration(model.duration)} ${counted(model.tasks.length, "task")} ran ${counted(model.steps.length, "step")} and waited ${counted(waits, "time")}; ` +
    `the loop was busy for ${held} of the time.` };
}
