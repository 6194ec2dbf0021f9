// The few words beside the pointer.

import { byId, element } from "./dom.js";
import { describe } from "./describe.js";

export function showTooltip(model, thing, x, y) {
  const tip = byId("tooltip");
  if (thing === null) {
    tip.hidden = true;
    return;
  }
  const about = describe(model, thing);
  const facts = about.facts.filter(([label]) => label !== "Task" && label !== "When").slice(0, 4);
  tip.replaceChildren(
    element("strong", {}, about.title),
    ...facts.map(([label, text]) => element("div", {}, `${label}: ${text}`)),
  );
  tip.hidden = false;
  const left = Math.max(Math.min(x + 14, window.innerWidth - tip.offsetWidth - 8), 8);
  const below = y + 18;
  tip.style.left = `${left}px`;
  tip.style.top = `${below + tip.offsetHeight > window.innerHeight ? Math.max(y - tip.offsetHeight - 10, 4) : below}px`;
}
