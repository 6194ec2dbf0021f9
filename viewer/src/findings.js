// The plain sentences on top: what was found in the trace, the most urgent first.

import { count, counted, duration, fileName, percent } from "./format.js";
import { endOf } from "./segments.js";
import { functionRows } from "./summaries.js";
import { siteText } from "./model.js";
import { stallFindings } from "./findings-stalls.js";
import { FIRST_WAIT, WAITS } from "./words.js";

const LONG_QUEUE = 50e6; // nanoseconds in the ready queue that are worth a sentence
const CROWD = 500; // tasks of one function at once: work without a limit

// Return [{ text, level: "alarm" | "warning" | "note", thing }]: a thing is where a click leads, or undefined.
export function findingsOf(model, totals, places, busy) {
  return [
    ...stallFindings(model),
    ...recordingFindings(model),
    ...lostFindings(model),
    ...errorFindings(model),
    ...queueFindings(model),
    ...waitFindings(model, places),
    ...crowdFindings(model),
    summary(model, totals, busy),
  ];
}

function lostFindings(model) {
  const { tasks, program } = model;
  if (program.ended === "running") return [];
  const pending = [];
  for (let task = 0; task < tasks.known; task++)
    if (tasks.outcome[task] === 0 && tasks.ended_ns[task] < 0) pending.push(task);
  if (pending.length === 0) return [];
  const were = pending.length === 1 ? "task was" : "tasks were";
  const text =
    program.ended === "killed"
      ? `${counted(pending.length, "task")} had not finished by then`
      : `${count(pending.length)} ${were} still pending at the end`;
  // Who waits for another task waits because of that one: the root says more.
  const root = pending.find((task) => !waitsForTask(model, task)) ?? pending[0];
  return [
    {
      level: "warning",
      text: `${text}: ${named(model, pending)}. ${lastWait(model, root)}`,
      thing: { group: "task", task: root },
    },
  ];
}

function waitsForTask({ segments }, task) {
  const state = segments.state[segments.start[task + 1] - 1] - FIRST_WAIT;
  return WAITS[state] === "task" || WAITS[state] === "gather";
}

// "notify waits for a future, in notify at app.py:8, and was made by forget at app.py:12."
function lastWait(model, task) {
  const last = model.segments.start[task + 1] - 1;
  const made = siteText(model.site(model.tasks.created_at[task]), fileName);
  const origin = made === "" ? "" : `, and was made by ${made}`;
  if (last < model.segments.start[task]) return `${model.taskName(task)} never ran${origin}.`;
  const row = model.segments.wait[last];
  const site = row === -1 ? "" : siteText(model.site(model.waits.site[row]), fileName);
  const what = model.waitedFor(last);
  return what === ""
    ? ""
    : `${model.taskName(task)} waits for ${what}${site === "" ? "" : `, in ${site}`}${origin}.`;
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
  const begin =
    raised.length === 1
      ? `Task ${model.taskName(first)} ended with`
      : `${count(raised.length)} tasks ended with an exception, the first, ${model.taskName(first)}, with`;
  return [{ level: "warning", text: `${begin} ${error}.`, thing: { group: "task", task: first } }];
}

function recordingFindings(model) {
  const found = [];
  const { ended } = model.program;
  if (model.dropped > 0)
    found.push({
      level: "warning",
      text: `${counted(model.dropped, "event")} did not fit into the recording: the oldest part is missing.`,
    });
  if (!model.complete || ended === "killed")
    found.push({
      level: "warning",
      text: `The recording ends before the program did${ended === "killed" ? ": it was killed" : ""}.`,
    });
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
  return [
    {
      level: "note",
      text: `A task that was ready had to wait up to ${duration(longest)} for its turn: ${model.taskName(task)}.`,
      thing: { group: "task", task },
    },
  ];
}

// Where tasks stood in line for each other: the place with the most of it, when it was much.
function waitFindings(model, places) {
  const place = places.find((each) => inLine(model, each));
  if (place === undefined || place.total < 0.2 * lifetime(model)) return [];
  const site = siteText(model.site(place.site), fileName);
  return [
    {
      level: "note",
      text: `${place.tasks === 1 ? "A task" : `${count(place.tasks)} tasks`} waited ${duration(place.total)} in sum for ${model.waitedFor(place.worst)}${site === "" ? "" : `, in ${site}`}.`,
      thing: { group: "segment", at: place.worst, task: taskOfSegment(model, place.worst) },
    },
  ];
}

// Whether those who wait at a place stand in line: behind others at a lock, or for room in a queue that is full.
function inLine({ waits, segments, text }, place) {
  const row = segments.wait[place.worst];
  return (
    ["lock", "semaphore", "executor"].includes(WAITS[place.kind]) ||
    (WAITS[place.kind] === "queue" && row !== -1 && text(waits.operation[row]) === "put")
  );
}

function lifetime({ tasks, duration: end }) {
  let sum = 0;
  for (let task = 0; task < tasks.length; task++)
    sum += endOf(tasks, task, end) - Math.max(tasks.created_ns[task], 0);
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

// The function of which the most tasks lived at the same time, when those were very many.
function crowdFindings({ tasks, site }) {
  const byFunction = new Map();
  for (let task = 0; task < tasks.known; task++) {
    const own = byFunction.get(tasks.function[task]);
    if (own === undefined) byFunction.set(tasks.function[task], [task]);
    else own.push(task);
  }
  let [most, of] = [CROWD - 1, -1];
  for (const [fn, own] of byFunction) {
    const peak = own.length > most && fn !== -1 ? atOnce(tasks, own) : 0;
    if (peak > most) [most, of] = [peak, fn];
  }
  if (of === -1) return [];
  return [
    {
      level: "note",
      text: `Up to ${count(most)} tasks of ${siteText(site(of), fileName)} lived at once.`,
      thing: { group: "task", task: byFunction.get(of)[0] },
    },
  ];
}

function atOnce(tasks, own) {
  const made = Float64Array.from(own, (task) => tasks.created_ns[task]).sort();
  const ended = Float64Array.from(own, (task) =>
    tasks.ended_ns[task] < 0 ? Infinity : tasks.ended_ns[task],
  ).sort();
  let [alive, most, gone] = [0, 0, 0];
  for (const time of made) {
    while (ended[gone] <= time) [alive, gone] = [alive - 1, gone + 1];
    most = Math.max(most, ++alive);
  }
  return most;
}

function summary(model, totals, busy) {
  const waits = model.segments.state
    .subarray(0, model.segments.length)
    .reduce((sum, state) => sum + (state >= FIRST_WAIT ? 1 : 0), 0);
  const [busiest] = functionRows(model, totals).sort((a, b) => b.running - a.running);
  const name = busiest === undefined ? "" : siteText(model.site(busiest.site), fileName);
  const most =
    name === "" || busiest.running < 0.3 * busy.total || busy.total < 0.05 * model.duration
      ? ""
      : `, most of it in ${name} (${duration(busiest.running)})`;
  return {
    level: "note",
    text:
      `In ${duration(model.duration)} ${counted(model.tasks.length, "task")} ran ${counted(model.steps.length, "step")} and waited ${counted(waits, "time")}; ` +
      `the loop was busy for ${percent(busy.total, model.duration)} of the time${most}.`,
  };
}
