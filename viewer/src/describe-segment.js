// What the page says of a part of a lane.

import { duration } from "./format.js";
import { siteText } from "./model.js";
import { firstAbove } from "./search-sorted.js";
import { FIRST_WAIT, READY, RUNNING, stateText, wakerText } from "./words.js";

export function describeSegment(model, { task, at }) {
  const { segments } = model;
  const [begin, end, state] = [segments.begin[at], segments.end[at], segments.state[at]];
  const name = model.taskName(task);
  const facts = [["Task", name, { group: "task", task }]];
  if (state === RUNNING) facts.push(...runFacts(model, at));
  else if (state === READY) facts.push(...readyFacts(model, at));
  else facts.push(...waitFacts(model, task, at));
  facts.push(["When", `from ${duration(begin)} to ${duration(end)} of the recording`]);
  return {
    title: `${name}: ${segmentText(model, at)} for ${duration(end - begin)}`,
    kind: "Part of a lane",
    begin,
    end,
    task,
    facts,
  };
}

// What the task does in a segment: "running", "waiting for room in a queue".
export function segmentText(model, at) {
  return model.segments.state[at] < FIRST_WAIT
    ? stateText(model.segments.state[at])
    : `waiting for ${model.waitedFor(at)}`;
}

// Who woke the task for this step.
function wokenFact(model, step) {
  const waker = model.taskAt(model.steps.waker_task[step]);
  if (waker !== -1) return ["Woken by", model.taskName(waker), { group: "task", task: waker }];
  return ["Woken by", wakerText(model.steps.waker[step])];
}

function runFacts(model, at) {
  const { segments, steps } = model;
  const step = segments.step[at];
  const facts = [
    [
      "Function",
      siteText(model.site(model.tasks.function[model.taskAt(steps.task[step])])) || "not recorded",
    ],
  ];
  facts.push(
    ["Waited in the ready queue", duration(Math.max(steps.begin_ns[step] - steps.ready_ns[step], 0))],
    wokenFact(model, step),
  );
  const next = at + 1;
  const same = next < segments.start[model.taskAt(steps.task[step]) + 1];
  if (same && segments.state[next] >= FIRST_WAIT)
    facts.push([
      "Then it was",
      segmentText(model, next),
      { group: "segment", task: model.taskAt(steps.task[step]), at: next },
    ]);
  return facts;
}

function readyFacts(model, at) {
  const { segments } = model;
  const facts = [wokenFact(model, segments.step[at])];
  const busy = longestStepIn(model, segments.begin[at], segments.end[at]);
  if (busy !== null)
    facts.push([
      "Meanwhile ran",
      `${model.taskName(busy.task)}, for ${duration(busy.ran)}`,
      { group: "task", task: busy.task },
    ]);
  return facts;
}

// The step that took the most of a stretch of time; null if none ran then. Long stretches are looked at in part.
function longestStepIn(model, begin, end) {
  const { steps } = model;
  let longest = null;
  for (
    let row = firstAbove(steps.end_ns, begin), looked = 0;
    row < steps.length && steps.begin_ns[row] < end && looked < 5000;
    row++, looked++
  ) {
    const ran = Math.min(steps.end_ns[row], end) - Math.max(steps.begin_ns[row], begin);
    const task = model.taskAt(steps.task[row]);
    if (task !== -1 && (longest === null || ran > longest.ran)) longest = { task, ran };
  }
  return longest;
}

function waitFacts(model, task, at) {
  const { segments, waits } = model;
  const row = segments.wait[at];
  const facts = [];
  if (row !== -1) {
    const site = siteText(model.site(waits.site[row]));
    if (site !== "") facts.push(["It waits at", site]);
    const on = model.taskAt(waits.on_task[row]);
    if (on !== -1) facts.push(["It waits for", model.taskName(on), { group: "task", task: on }]);
  } else facts.push(["It waits at", "not recorded"]);
  const next = at + 1 < segments.start[task + 1] ? segments.step[at + 1] : -1;
  facts.push(next === -1 ? ["Woken by", "nobody, up to the end of the recording"] : wokenFact(model, next));
  return facts;
}
