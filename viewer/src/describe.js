// What the page says of a thing: a title, its stretch of time, and facts as pairs of a label and a text.
// A fact may lead to another thing: [label, text, thing].

import { counted, duration, percent } from "./format.js";
import { siteText } from "./model.js";
import { describeSegment } from "./describe-segment.js";
import { OUTCOMES } from "./words.js";

export function describe(model, thing) {
  if (thing.group === "segment") return describeSegment(model, thing);
  if (thing.group === "task") return describeTask(model, thing.task);
  return OTHERS[thing.group](model, model[thing.group], thing.row);
}

export function taskLink(model, task) {
  return [model.taskName(task), { group: "task", task }];
}

// "from 1.2 s to 1.5 s", as a fact.
export function whenFact(begin, end) {
  return ["When", `from ${duration(begin)} to ${duration(end)} of the recording`];
}

export function outcomeText(model, task) {
  const { tasks } = model;
  if (task >= tasks.known) return "not in the recording: its beginning was lost";
  const error = model.text(tasks.error[task]);
  const outcome = OUTCOMES[tasks.outcome[task]];
  if (outcome === "pending")
    return model.program.ended === "running"
      ? "still alive when the recording ended"
      : "never finished: it was still pending at the end";
  return error === "" || outcome === "returned" ? outcome : `${outcome} ${error}`;
}

function describeTask(model, task) {
  const { tasks } = model;
  const begin = Math.max(tasks.created_ns[task], 0);
  const end = tasks.ended_ns[task] >= 0 ? tasks.ended_ns[task] : model.duration;
  const facts = [
    ["Function", siteText(model.site(tasks.function[task])) || "not recorded"],
    ["Outcome", outcomeText(model, task)],
  ];
  const made = model.site(tasks.created_at[task]);
  if (made !== null) facts.push(["Made at", siteText(made)]);
  const parent = model.parentOf[task];
  if (parent !== -1) facts.push(["Made by", ...taskLink(model, parent)]);
  facts.push(["Lived", `${duration(end - begin)}, from ${duration(begin)} to ${duration(end)}`]);
  const children = model.childrenOf.of(task).length;
  if (children > 0) facts.push(["Made", counted(children, "task")]);
  for (const row of [...model.cancelsOf.of(task)].slice(0, 5)) {
    const by = model.taskAt(model.cancels.by_task[row]);
    facts.push([
      "Cancelled",
      `at ${duration(model.cancels.at_ns[row])}${by === -1 ? "" : " by "}`,
      ...(by === -1 ? [] : taskLink(model, by).slice(1)),
    ]);
    if (by !== -1) facts.at(-1)[1] += model.taskName(by);
  }
  return { title: model.taskName(task), kind: "Task", begin, end, task, facts };
}

function whose(model, id) {
  const task = model.taskAt(id);
  return task === -1 ? [] : [["Task", ...taskLink(model, task)]];
}

const OTHERS = {
  stalls(model, stalls, row) {
    const [begin, end] = [stalls.begin_ns[row], stalls.end_ns[row]];
    const frames = stackOf(model, row).map((frame, index) => [index === 0 ? "Stood at" : "called by", frame]);
    const kinds = {
      step: "one step of a task",
      callback: "one callback",
      turn: "many short callbacks and steps of one turn",
    };
    const kind = kinds[stalls.kind[row]] ?? "something that was not recorded";
    return {
      title: `The loop was held for ${duration(end - begin)}`,
      kind: "Stall",
      begin,
      end,
      task: model.taskAt(stalls.task[row]),
      facts: [["By", kind], ...whose(model, stalls.task[row]), whenFact(begin, end), ...frames],
    };
  },
  callbacks(model, callbacks, row) {
    const [begin, end] = [callbacks.begin_ns[row], callbacks.end_ns[row]];
    return {
      title: model.text(callbacks.name[row]) || "a callback",
      kind: "Callback",
      begin,
      end,
      task: -1,
      facts: [
        ["Ran", duration(end - begin)],
        ["Waited in the ready queue", duration(Math.max(begin - callbacks.ready_ns[row], 0))],
        whenFact(begin, end),
      ],
    };
  },
  turns(model, turns, row) {
    const [begin, end] = [turns.begin_ns[row], turns.end_ns[row]];
    return {
      title: `One turn of the loop, ${duration(end - begin)}`,
      kind: "Turn",
      begin,
      end,
      task: -1,
      facts: [["Ready when it began", counted(Math.max(turns.ready[row], 0), "item")], whenFact(begin, end)],
    };
  },
  polls(model, polls, row) {
    const [begin, end] = [polls.begin_ns[row], polls.end_ns[row]];
    const asked =
      polls.blocking[row] === 1
        ? "The loop had nothing to run and waited"
        : "The loop looked for events without waiting";
    return {
      title: `${asked}, ${duration(end - begin)}`,
      kind: "Poll",
      begin,
      end,
      task: -1,
      facts: [
        ["Descriptors that became ready", String(Math.max(polls.events[row], 0))],
        whenFact(begin, end),
      ],
    };
  },
  gc(model, gc, row) {
    const [begin, end] = [gc.begin_ns[row], gc.end_ns[row]];
    return {
      title: `Garbage collection of generation ${gc.generation[row]}, ${duration(end - begin)}`,
      kind: "Pause",
      begin,
      end,
      task: -1,
      facts: [whenFact(begin, end), ["Of the recording", percent(end - begin, model.duration)]],
    };
  },
  executor(model, executor, row) {
    const [begin, end] = [executor.begin_ns[row], executor.end_ns[row]];
    return {
      title: model.text(executor.name[row]) || "a job in a thread",
      kind: "Executor job",
      begin,
      end,
      task: model.taskAt(executor.task[row]),
      facts: [
        ...whose(model, executor.task[row]),
        ["Ran", duration(end - begin)],
        ["Waited for a thread", duration(Math.max(begin - executor.submitted_ns[row], 0))],
        whenFact(begin, end),
      ],
    };
  },
  marks(model, marks, row) {
    const at = marks.at_ns[row];
    return {
      title: model.text(marks.text[row]) || "a mark",
      kind: "Mark",
      begin: at,
      end: at,
      task: model.taskAt(marks.task[row]),
      facts: [
        ["Written by", model.text(marks.source[row]) || "not recorded"],
        ...whose(model, marks.task[row]),
        ["When", duration(at)],
      ],
    };
  },
};

// The lines of a stall's stack as texts, innermost first.
export function stackOf(model, row, shorten) {
  const stack = model.stalls.stack[row];
  return (Array.isArray(stack) ? stack : [])
    .map((site) => siteText(model.site(site), shorten))
    .filter((text) => text !== "");
}
