// The names beside the lanes: a tree whose items exist only while they are on the screen.

import { element } from "./dom.js";
import { LANE } from "./draw-lane.js";
import { outcomeText } from "./describe.js";
import { counted } from "./format.js";

const OVERSCAN = 3; // items beyond the screen, so that Tab always finds the next one
const OUTCOME_SIGNS = ["…", "", "✕", "⊘"];

// Return { show(first, last), refresh(), focus(row) } for the tree in `host`; `act` has choose, toggle, focused and details.
export function laneNames(host, act) {
  let shown = new Map();
  let state = null;

  function open(next) {
    state = next;
    shown = new Map();
    host.replaceChildren();
  }

  function show(first, last) {
    const { rows } = state.lanes;
    const from = Math.max(first - OVERSCAN, 0);
    const to = Math.min(last + OVERSCAN, rows.length);
    for (const [row, item] of shown) {
      if ((row < from || row >= to) && item !== document.activeElement) {
        item.remove();
        shown.delete(row);
      }
    }
    let cursor = host.firstChild;
    for (const row of [...shown.keys(), ...missing(from, to)].sort((a, b) => a - b)) {
      let item = shown.get(row);
      if (item === undefined) shown.set(row, (item = make(row)));
      if (item === cursor) cursor = cursor.nextSibling;
      else host.insertBefore(item, cursor);
    }
  }

  function* missing(from, to) {
    for (let row = from; row < to; row++) if (!shown.has(row)) yield row;
  }

  function make(row) {
    const { model, lanes } = state;
    const task = lanes.rows[row];
    const children = model.childrenOf.of(task).length;
    const closed = lanes.closed[task] === 1;
    const name = model.taskName(task);
    const fn = model.functionName(task);
    const twist = element(
      "span",
      {
        class: "twist",
        "aria-hidden": "true",
        onclick: (event) => {
          event.stopPropagation();
          act.toggle(task);
        },
      },
      children === 0 ? "" : closed ? "▸" : "▾",
    );
    const item = element(
      "div",
      {
        role: "treeitem",
        tabindex: "0",
        class: "lane-name",
        "data-task": task,
        "aria-level": lanes.depth[task] + 1,
        "aria-expanded": children === 0 ? null : String(!closed),
        "aria-label": `${name}, ${fn}, ${outcomeText(model, task)}, lane ${row + 1} of ${lanes.rows.length}`,
        title: `${name}\n${fn}\n${outcomeText(model, task)}${children === 0 ? "" : `\nmade ${counted(children, "task")}`}`,
        onclick: () => act.choose({ group: "task", task }),
        onfocus: () => act.focused(row),
      },
      twist,
      element("span", { class: "task-name" }, name),
      element("span", { class: "task-function" }, fn === name ? "" : fn),
      element(
        "span",
        { class: `outcome outcome-${model.tasks.outcome[task]}` },
        closed ? `+${children}` : OUTCOME_SIGNS[model.tasks.outcome[task]],
      ),
    );
    item.style.top = `${row * LANE}px`;
    item.style.paddingLeft = `${4 + Math.min(lanes.depth[task], 12) * 10}px`;
    item.addEventListener("keydown", (event) => {
      if (event.key === "Enter") act.details(task);
      else if (event.key === " ") act.toggle(task);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    mark(item, task);
    return item;
  }

  function mark(item, task) {
    item.classList.toggle("chosen", state.chosen === task);
    item.classList.toggle("found", state.found.has(task));
    item.setAttribute("aria-selected", String(state.chosen === task));
  }

  return {
    open,
    show,
    // The same lanes, with others chosen or found.
    restate: (next) => {
      state = next;
      for (const [row, item] of shown) mark(item, state.lanes.rows[row]);
    },
    forget: () => {
      shown = new Map();
      host.replaceChildren();
    },
    focus: (row) => shown.get(row)?.focus({ preventScroll: true }),
  };
}
