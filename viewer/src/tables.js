// The summary tables: each is made when its tab is opened.

import { duration, fileName } from "./format.js";
import { describe, outcomeText, stackOf } from "./describe.js";
import { functionRows, longWaits, slowSteps, taskRows, turnRows } from "./summaries.js";
import { siteText } from "./model.js";
import { segmentText } from "./describe-segment.js";

const time = (name, value, hint) => ({
  name,
  value,
  text: (item) => duration(value(item)),
  number: true,
  hint,
});
const number = (name, value, hint) => ({ name, value, number: true, hint });
const words = (name, value, hint) => ({ name, value, hint });

// Return the tabs: [{ id, name, table({ choose }) }]. Each table is what sortedTable asks for.
export function tabsOf(model, totals, places, windowRows) {
  const site = (index) => siteText(model.site(index), fileName);
  const taskOf = (item) => model.taskName(item.task);
  return [
    {
      id: "tasks",
      name: "Tasks",
      table: () => ({
        caption: "Every task. Press a heading to sort by it; press a row to see it in the timeline.",
        sortColumn: 3,
        items: taskRows(model, totals),
        thing: (item) => ({ group: "task", task: item.task }),
        columns: [
          words("Task", taskOf),
          words("Function", (item) => site(model.tasks.function[item.task])),
          words("Outcome", (item) => outcomeText(model, item.task)),
          time("Ran", (item) => item.running, "Time in its own code"),
          time("Longest step", (item) => item.longest, "The longest time without giving way to others"),
          time("Queued", (item) => item.ready, "Ready, but others were before it"),
          time("Waited", (item) => item.waiting, "Waited for something to happen"),
          number("Switches", (item) => item.steps, "How often it was switched to"),
          time("Lived", (item) => item.lived),
        ],
      }),
    },
    {
      id: "functions",
      name: "Functions",
      table: () => ({
        caption: "Tasks together by their coroutine function.",
        sortColumn: 2,
        items: functionRows(model, totals),
        thing: (item) => ({ group: "task", task: item.task }),
        columns: [
          words("Function", (item) => site(item.site) || "not recorded"),
          number("Tasks", (item) => item.tasks),
          time("Ran", (item) => item.running),
          time("Longest step", (item) => item.longest),
          time("Queued", (item) => item.ready),
          time("Waited", (item) => item.waiting),
          number("Switches", (item) => item.steps),
        ],
      }),
    },
    {
      id: "steps",
      name: "Slowest steps",
      table: () => ({
        caption: "The longest times without giving way: while one runs, nothing else does.",
        sortColumn: 1,
        items: slowSteps(model),
        thing: segmentOf,
        columns: [
          words("Task", taskOf),
          time("Ran", (item) => item.took),
          words("Function", (item) => site(model.tasks.function[item.task])),
          time("Began at", (item) => item.begin),
        ],
      }),
    },
    {
      id: "places",
      name: "Waits by place",
      table: () => ({
        caption: "What tasks waited for, together by line.",
        sortColumn: 2,
        items: places,
        thing: (item) => ({ group: "segment", at: item.worst }),
        columns: [
          words("Waited for", (item) => model.waitedFor(item.worst)),
          words("At", (item) => site(item.site) || "not recorded"),
          time("In sum", (item) => item.total),
          time("Longest", (item) => item.longest),
          number("Times", (item) => item.times),
          number("Tasks", (item) => item.tasks),
        ],
      }),
    },
    {
      id: "waits",
      name: "Longest waits",
      table: () => ({
        caption: "The longest waits of single tasks.",
        sortColumn: 2,
        items: longWaits(model),
        thing: segmentOf,
        columns: [
          words("Task", taskOf),
          words("Waited for", (item) => model.waitedFor(item.at)),
          time("For", (item) => item.took),
          words("At", (item) => (item.wait === -1 ? "" : site(model.waits.site[item.wait]))),
          time("Began at", (item) => item.begin),
        ],
      }),
    },
    {
      id: "turns",
      name: "Worst turns",
      table: () => ({
        caption: "The longest turns of the loop, and who took the most of each.",
        sortColumn: 1,
        items: turnRows(model),
        thing: (item) => ({ group: "turns", row: item.row }),
        columns: [
          time("Began at", (item) => item.begin),
          time("Took", (item) => item.took),
          number("Ready", (item) => item.ready, "Items that were ready when it began"),
          words("Most of it", (item) =>
            item.shares.map((share) => `${share.name} ${duration(share.ran)}`).join(", "),
          ),
        ],
      }),
    },
    {
      id: "stalls",
      name: `Stalls (${model.stalls.length})`,
      table: () => ({
        caption: "When the loop was held, and where the code stood.",
        sortColumn: 1,
        empty: "The loop was not found held. (The watchdog writes stalls: maypole.run(..., stall=0.1).)",
        items: rowsOf(model.stalls),
        thing: (item) => ({
          group: "stalls",
          row: item.row,
          task: model.taskAt(model.stalls.task[item.row]),
        }),
        columns: [
          time("Began at", (item) => item.begin),
          time("Held for", (item) => item.took),
          words(
            "By",
            (item) => stackOf(model, item.row, fileName)[0] ?? String(model.stalls.kind[item.row] ?? ""),
          ),
          words("Task", (item) => {
            const task = model.taskAt(model.stalls.task[item.row]);
            return task === -1 ? "" : model.taskName(task);
          }),
        ],
      }),
    },
    {
      id: "lost",
      name: "Lost and failed",
      table: () => ({
        caption: "Tasks that never finished, raised, or were cancelled.",
        sortColumn: 2,
        empty: "Every task ended well.",
        items: taskRows(model, totals).filter(
          (item) => model.tasks.outcome[item.task] !== 1 && item.task < model.tasks.known,
        ),
        thing: (item) => ({ group: "task", task: item.task }),
        columns: [
          words("Task", taskOf),
          words("Made at", (item) => site(model.tasks.created_at[item.task])),
          words("Outcome", (item) => outcomeText(model, item.task)),
          time("Lived", (item) => item.lived),
          words("Last seen", (item) => lastSeen(model, item.task)),
        ],
      }),
    },
    {
      id: "window",
      name: "Visible window",
      live: true,
      table: () => ({
        caption: windowRows.caption(),
        sortColumn: 0,
        sortUp: true,
        items: windowRows.items(),
        empty: "Nothing happens in the visible lanes and time.",
        thing: segmentOf,
        columns: [
          time("Began at", (item) => item.begin),
          words("Task", taskOf),
          words("State", (item) => segmentText(model, item.at)),
          time("For", (item) => item.took),
          words("About it", (item) => aboutSegment(model, item)),
        ],
      }),
    },
  ];
}

function segmentOf(item) {
  return { group: "segment", task: item.task, at: item.at };
}

function rowsOf(group) {
  return Array.from({ length: group.length }, (_, row) => ({
    row,
    begin: group.begin_ns[row],
    took: group.end_ns[row] - group.begin_ns[row],
  }));
}

function lastSeen(model, task) {
  const last = model.segments.start[task + 1] - 1;
  if (last < model.segments.start[task]) return "it never ran";
  const row = model.segments.wait[last];
  const place = row === -1 ? "" : siteText(model.site(model.waits.site[row]), fileName);
  return place === "" ? segmentText(model, last) : `${segmentText(model, last)}, ${place}`;
}

function aboutSegment(model, item) {
  return describe(model, segmentOf(item))
    .facts.filter(([label]) => label !== "Task" && label !== "When")
    .map(([label, text]) => `${label}: ${text}`)
    .join("; ");
}
