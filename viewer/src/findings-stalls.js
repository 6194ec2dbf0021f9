// Sentences about what held the loop.

import { counted, duration, fileName } from "./format.js";
import { siteText } from "./model.js";
import { stackOf } from "./describe.js";
import { sharesOf } from "./summaries.js";

const LONG_STEP = 50e6; // nanoseconds: a step that others notice, when no watchdog has told of it

function inTask(model, id) {
  const task = model.taskAt(id);
  return task === -1 ? "" : ` in task ${model.taskName(task)}`;
}

// Stalls by the place that held the loop, the longest first.
export function stallFindings(model) {
  const { stalls } = model;
  const rows = [...Array(stalls.length).keys()].sort((a, b) => length(stalls, b) - length(stalls, a));
  if (rows.length === 0) return longStep(model);
  const byPlace = new Map();
  for (const row of rows) {
    const place =
      stalls.kind[row] === "turn" ? turnText(model, row) : (stackOf(model, row, fileName)[0] ?? "");
    byPlace.set(place, [...(byPlace.get(place) ?? []), row]);
  }
  const found = [...byPlace].slice(0, 3).map(([place, [row, ...others]]) => {
    const longest = duration(length(stalls, row));
    const by = place === "" ? "" : ` by ${place}`;
    const text =
      others.length === 0
        ? `The loop was held for ${longest}${by}${inTask(model, stalls.task[row])}.`
        : `The loop was held ${counted(others.length + 1, "time")}${by}, for ${longest} at most${inTask(model, stalls.task[row])}.`;
    return { level: "alarm", text, thing: { group: "stalls", row, task: model.taskAt(stalls.task[row]) } };
  });
  if (byPlace.size > 3)
    found.push({
      level: "alarm",
      text: `It was held in ${counted(byPlace.size - 3, "more place")}; see the table of stalls.`,
    });
  return found;
}

function turnText(model, row) {
  const [most] = sharesOf(model, model.stalls.begin_ns[row], model.stalls.end_ns[row]);
  return `many short callbacks and steps together${most === undefined ? "" : `, most of all ${most.name}`}`;
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
  return [
    {
      level: "alarm",
      text: `The loop was held for ${duration(longest)} by one step of ${fn || "a coroutine"} in task ${model.taskName(task)}.`,
      thing: { group: "segment", task, at: worst },
    },
  ];
}
