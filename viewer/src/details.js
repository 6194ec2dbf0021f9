// The panel that tells all about what was chosen.

import { element, button, byId } from "./dom.js";
import { describe } from "./describe.js";
import { counted, duration, percent } from "./format.js";
import { swatch } from "./patterns.js";
import { statesOf } from "./totals.js";
import { stateText } from "./words.js";

// Show a thing; `act` has choose(thing), zoom(begin, end) and close().
export function showDetails(model, thing, palette, act) {
  const about = describe(model, thing);
  const panel = byId("details");
  const facts = element("dl", {});
  for (const [label, text, link] of about.facts) {
    facts.append(
      element("dt", {}, label),
      element("dd", {}, link === undefined ? text : button(text, () => act.choose(link), { class: "link" })),
    );
  }
  panel.replaceChildren(
    element(
      "div",
      { class: "details-head" },
      element("p", { class: "kind" }, about.kind),
      button("×", act.close, { class: "close", "aria-label": "Close the details", title: "Close (Esc)" }),
    ),
    element("h2", { tabindex: "-1", id: "details-title" }, about.title),
    facts,
    ...(thing.group === "task" ? [states(model, thing.task, palette)] : []),
    element(
      "p",
      { class: "actions" },
      button("Zoom to it", () => act.zoom(about.begin, about.end), { title: "z" }),
    ),
  );
  panel.hidden = false;
}

function states(model, task, palette) {
  const rows = statesOf(model, task);
  const whole = rows.reduce((sum, row) => sum + row.total, 0);
  return element(
    "table",
    { class: "states" },
    element("caption", {}, "What it did"),
    element(
      "thead",
      {},
      element(
        "tr",
        {},
        ...["State", "Time", "Share", "Times"].map((name) => element("th", { scope: "col" }, name)),
      ),
    ),
    element(
      "tbody",
      {},
      ...rows.map(({ state, total, times }) =>
        element(
          "tr",
          {},
          element("th", { scope: "row" }, swatch(state, palette), stateText(state)),
          element("td", { class: "number" }, duration(total)),
          element("td", { class: "number" }, percent(total, whole)),
          element("td", { class: "number" }, counted(times, "time")),
        ),
      ),
    ),
  );
}
