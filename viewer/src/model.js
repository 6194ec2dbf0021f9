// What the page knows of a trace: tasks as a tree, their segments, names of everything.

import { counted } from "./format.js";
import { groupedRows } from "./grouped-rows.js";
import { segmentsOf } from "./segments.js";
import { FIRST_WAIT, waitText } from "./words.js";

// Build the model of a loaded document.
export function modelOf(document) {
  const tasks = tasksOf(document);
  const indexOf = new Map();
  for (let task = 0; task < tasks.length; task++) indexOf.set(tasks.id[task], task);
  const taskAt = (id) => indexOf.get(id) ?? -1;
  const model = { ...document, tasks, taskAt, duration: lengthOf(document) };
  Object.assign(model, namesOf(model), treeOf(tasks, taskAt));
  model.stepsOf = groupedRows(document.steps.task, taskAt, tasks.length);
  model.woken = groupedRows(document.steps.waker_task, taskAt, tasks.length);
  model.cancelsOf = groupedRows(document.cancels.task, taskAt, tasks.length);
  model.segments = segmentsOf(model);
  return model;
}

// The tasks of the document, and those that only other groups name: their rows were lost.
function tasksOf(document) {
  const known = new Set(document.tasks.id);
  const extra = new Set();
  for (const ids of [document.steps.task, document.waits.task]) {
    for (const id of ids) if (id > 0 && !known.has(id)) extra.add(id);
  }
  const given = document.tasks;
  const length = given.length + extra.size;
  const tasks = { length, known: given.length };
  for (const [name, column] of Object.entries(given)) {
    if (name === "length") continue;
    tasks[name] = new column.constructor(length);
    tasks[name].set(column);
  }
  let task = given.length;
  for (const id of extra) {
    tasks.id[task] = id;
    for (const column of ["name", "function", "created_at", "error", "ended_ns"]) tasks[column][task] = -1;
    task++;
  }
  return tasks;
}

function lengthOf(document) {
  let length = document.duration;
  for (const group of ["steps", "callbacks", "turns", "polls", "gc", "stalls", "executor"]) {
    for (const end of document[group].end_ns) if (end > length) length = end;
  }
  for (const end of document.tasks.ended_ns) if (end > length) length = end;
  return length;
}

// Functions that name what the document holds as numbers.
function namesOf(model) {
  const { strings, sites, tasks } = model;
  const text = (index) => (typeof strings[index] === "string" ? strings[index] : "");
  const site = (index) =>
    index < 0 || index >= sites.length
      ? null
      : { file: text(sites.file[index]), line: sites.line[index], function: text(sites.function[index]) };
  const functionName = (task) => site(tasks.function[task])?.function ?? "";
  const taskName = (task) => text(tasks.name[task]) || `task ${tasks.id[task]}`;
  // What a segment waits for, in words; "" for one that does not wait.
  const waitedFor = (at) => {
    const row = model.segments.wait[at];
    const kind = model.segments.state[at] - FIRST_WAIT;
    return kind < 0 ? "" : waitText(kind, row === -1 ? "" : text(model.waits.operation[row]));
  };
  return { text, site, functionName, taskName, waitedFor };
}

// Parents, children in the order of their making, and depth. A parent that is unknown or its own descendant is none.
function treeOf(tasks, taskAt) {
  const parentOf = new Int32Array(tasks.length).fill(-1);
  for (let task = 0; task < tasks.length; task++) {
    const parent = tasks.parent[task] > 0 ? taskAt(tasks.parent[task]) : -1;
    if (parent !== -1 && parent !== task) parentOf[task] = parent;
  }
  breakCircles(parentOf);
  const childrenOf = groupedRows(parentOf, (parent) => parent, tasks.length);
  const byCreation = (a, b) => tasks.created_ns[a] - tasks.created_ns[b] || tasks.id[a] - tasks.id[b];
  for (let task = 0; task < tasks.length; task++) childrenOf.of(task).sort(byCreation);
  const roots = [...parentOf.keys()].filter((task) => parentOf[task] === -1).sort(byCreation);
  return { parentOf, childrenOf, roots };
}

function breakCircles(parentOf) {
  const state = new Uint8Array(parentOf.length); // 0 not seen, 1 on the way up from this one, 2 leads to a root
  for (let first = 0; first < parentOf.length; first++) {
    const path = [];
    let task = first;
    while (task !== -1 && state[task] === 0) {
      state[task] = 1;
      path.push(task);
      task = parentOf[task];
    }
    if (task !== -1 && state[task] === 1) parentOf[path.at(-1)] = -1;
    for (const each of path) state[each] = 2;
  }
}

// "handler at app.py:12", as exact as what is known allows.
export function siteText(site, shorten = withinPackages) {
  if (site === null) return "";
  const place = site.line > 0 ? `${shorten(site.file)}:${site.line}` : shorten(site.file);
  if (!site.function) return place;
  return place ? `${site.function} at ${place}` : site.function;
}

// A file of an installed package is known by its place in there.
function withinPackages(path) {
  return path.slice(path.lastIndexOf("/site-packages/") + 1).replace(/^site-packages\//, "");
}

export function eventsIn(model) {
  return [
    "steps",
    "waits",
    "callbacks",
    "turns",
    "polls",
    "timers",
    "io",
    "executor",
    "gc",
    "cancels",
    "stalls",
    "marks",
  ].reduce((sum, group) => sum + model[group].length, 0);
}

export function sizeText(model) {
  return `${counted(model.tasks.length, "task")}, ${counted(eventsIn(model), "event")}`;
}
