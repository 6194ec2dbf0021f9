// The top of the page: what was recorded, and what was found in it.

import { button, byId, element } from "./dom.js";
import { duration, fileName } from "./format.js";
import { sizeText } from "./model.js";

const SIGNS = { alarm: "▼", warning: "!", note: "i" };

// Say what program this is; `name` is that of the file, for a trace that does not tell.
export function showHead(model, name) {
  const { argv, python, maypole, platform } = model.program;
  const told = Array.isArray(argv) && argv.length > 0;
  const command = told ? commandText(argv.map(String)) : (name ?? "a program");
  document.title = `${command} · maypole timeline`;
  byId("program").textContent = command;
  byId("program").title = told ? argv.join(" ") : "";
  const facts = [duration(model.duration), sizeText(model)];
  if (python) facts.push(`Python ${python}`);
  if (maypole) facts.push(`maypole ${maypole}`);
  byId("facts").textContent = facts.join(" · ");
  byId("facts").title = String(platform ?? "");
}

// The command as it was meant: a program without its folder, a module by its name.
function commandText([program, ...rest]) {
  const module = /([^/]+)\/__main__\.py$/.exec(program);
  return [module === null ? fileName(program) : `-m ${module[1]}`, ...rest].join(" ");
}

// Show the sentences; `go` is called with the thing that one leads to.
export function showFindings(findings, go) {
  const items = findings.map(({ text, level, thing }) => {
    const sign = element("span", { class: "sign", "aria-hidden": "true" }, SIGNS[level]);
    const attributes = { class: "link", title: "Show it in the timeline" };
    const sentence = thing === undefined ? text : button(text, () => go(thing), attributes);
    return element("li", { class: level }, sign, sentence);
  });
  byId("findings").replaceChildren(...items);
}
