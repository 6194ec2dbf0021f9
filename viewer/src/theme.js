// Dark or light: what the system says, until the switch says otherwise.

import { paletteOf } from "./palette.js";
import { byId } from "./dom.js";

const CHOICES = ["system", "light", "dark"];

// Return { palette(), next() }; `changed` is called when the colours are others.
export function themeSwitch(changed) {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  let choice = 0;
  let name = "light";
  // Only here is the system asked: to read an answer anywhere else may swallow the event that tells of the next one.
  const apply = () => {
    name = CHOICES[choice] === "system" ? (dark.matches ? "dark" : "light") : CHOICES[choice];
    document.documentElement.dataset.theme = name;
    const control = byId("theme");
    control.textContent = `Theme: ${CHOICES[choice]}`;
    control.setAttribute("aria-label", `Theme: ${CHOICES[choice]}. Press to change.`);
    changed();
  };
  dark.addEventListener("change", apply);
  const next = () => {
    choice = (choice + 1) % CHOICES.length;
    apply();
  };
  byId("theme").addEventListener("click", next);
  return { apply, next, palette: () => paletteOf(name) };
}
