// The keyboard: every deed of the page has a key.

import { byId, element } from "./dom.js";

const PAN = 0.15; // of the window's width
const ZOOM = 1.4;

// Listen to keys; `act` has the deeds. Return nothing.
export function listenToKeys(act) {
  const deeds = {
    a: () => act.pan(-PAN),
    ArrowLeft: () => act.pan(-PAN),
    d: () => act.pan(PAN),
    ArrowRight: () => act.pan(PAN),
    w: () => act.zoom(1 / ZOOM),
    "+": () => act.zoom(1 / ZOOM),
    "=": () => act.zoom(1 / ZOOM),
    s: () => act.zoom(ZOOM),
    "-": () => act.zoom(ZOOM),
    _: () => act.zoom(ZOOM),
    f: act.fit,
    z: act.zoomToChosen,
    e: act.arrows,
    v: act.active,
    b: act.tables,
    t: act.theme,
    l: act.legend,
    x: act.closeOrOpenAll,
    ArrowUp: () => act.lane(-1),
    ArrowDown: () => act.lane(1),
    ",": () => act.bar(-1),
    ".": () => act.bar(1),
    "/": act.search,
    "?": act.help,
    Escape: act.escape,
    Enter: act.details,
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target;
    if (target.matches("input, textarea, select")) return;
    if (event.key === "Enter" && target.matches("button, a, summary, [role=tab]")) return;
    if (event.key.startsWith("Arrow") && target.closest("#tables, dialog, #details") !== null) return;
    const deed = deeds[event.key] ?? deeds[event.key.toLowerCase()];
    if (deed === undefined || (byId("help").open && event.key !== "Escape")) return;
    event.preventDefault();
    deed();
  });
}

const HELP = [
  ["A D or ← →", "move in time (or drag; Shift and the wheel)"],
  ["W S or + −", "zoom in and out (or the wheel; two fingers)"],
  ["↑ ↓ or Tab", "previous and next lane"],
  [", .", "previous and next bar on the lane"],
  ["Enter", "details of the lane or bar (or click)"],
  ["Z", "zoom to what is chosen (or double-click)"],
  ["F", "fit: show the whole recording"],
  ["Space", "close or open the branch of a lane"],
  ["X", "close or open all branches"],
  ["V", "only lanes of tasks that live in the visible time"],
  ["E", "all arrows from waker to woken"],
  ["/", "search tasks by name or function; Enter: next one"],
  ["B", "show or hide the tables"],
  ["T", "theme: system, light, dark"],
  ["L", "legend"],
  ["Esc", "close details, search, this help"],
  ["?", "this help"],
];

export function fillHelp(table) {
  table.replaceChildren(
    element(
      "tbody",
      {},
      ...HELP.map(([keys, text]) =>
        element("tr", {}, element("th", { scope: "row" }, keys), element("td", {}, text)),
      ),
    ),
  );
}
