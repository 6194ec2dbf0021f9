// What the colours, patterns and signs mean: only those that this trace has.

import { element } from "./dom.js";
import { swatch } from "./patterns.js";
import { FIRST_WAIT, READY, RUNNING, stateName, stateText } from "./words.js";

// Fill the legend; states that the trace does not have are left out.
export function fillLegend(host, model, palette) {
  const used = new Set([RUNNING, READY]);
  for (let at = 0; at < model.segments.length; at++) used.add(model.segments.state[at]);
  const items = [...used]
    .sort((a, b) => order(a) - order(b))
    .map((state) => element("li", { title: stateText(state) }, swatch(state, palette), legendText(state)));
  const sign = (text, meaning) =>
    element("li", {}, element("span", { class: "sign", "aria-hidden": "true" }, text), meaning);
  const outcomes = new Set(model.tasks.outcome);
  if (outcomes.has(2)) items.push(sign("✕", "raised"));
  if (outcomes.has(3)) items.push(sign("⊘", "cancelled"));
  if (outcomes.has(0)) items.push(sign("…", "not finished"));
  if (model.stalls.length > 0) items.push(sign("▼", "stall"));
  if (model.marks.length > 0) items.push(sign("◆", "mark"));
  host.replaceChildren(...items);
}

function order(state) {
  return state === RUNNING ? -1 : state;
}

function legendText(state) {
  if (state === RUNNING) return "running";
  if (state === READY) return "ready, waits for its turn";
  const first = state - FIRST_WAIT;
  return first === 0 ? "waits, not known for what" : `waits: ${stateName(state)}`;
}
