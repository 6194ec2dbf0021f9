// Find tasks by a part of their name or of their function's name.

import { byId } from "./dom.js";
import { counted } from "./format.js";

// Listen to the field; `act` has model(), lanes(), found(tasks) and go(task).
export function listenToSearch(act) {
  const field = byId("search");
  const answer = byId("search-answer");
  let matches = [];
  let at = -1;

  function look() {
    const model = act.model();
    const wanted = field.value.trim().toLowerCase();
    matches = [];
    at = -1;
    if (model !== null && wanted !== "") {
      for (let task = 0; task < model.tasks.length; task++) {
        if (
          model.taskName(task).toLowerCase().includes(wanted) ||
          model.functionName(task).toLowerCase().includes(wanted)
        )
          matches.push(task);
      }
    }
    answer.textContent =
      wanted === "" ? "" : matches.length === 0 ? "no task" : counted(matches.length, "task");
    act.found(new Set(matches));
  }

  function go(by) {
    if (matches.length === 0) return;
    at = (at + by + matches.length) % matches.length;
    if (at < 0) at += matches.length;
    answer.textContent = `${at + 1} of ${matches.length}`;
    act.go(matches[at]);
  }

  field.addEventListener("input", look);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") go(event.shiftKey && at === -1 ? 0 : event.shiftKey ? -1 : 1);
    else if (event.key === "Escape") {
      field.value = "";
      look();
      field.blur();
    } else return;
    event.preventDefault();
  });
  return { look };
}
