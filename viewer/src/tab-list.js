// Tabs, as the ARIA pattern of that name has them: arrow keys move between them.

import { element } from "./dom.js";

// Fill `list` with tabs; `open` is called with the one that is chosen. Return { choose(id), chosen() }.
export function tabList(list, tabs, open) {
  let current = tabs[0].id;
  const buttons = tabs.map((tab) =>
    element(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${tab.id}`,
        "aria-controls": "table-panel",
        onclick: () => choose(tab.id),
      },
      tab.name,
    ),
  );

  function choose(id) {
    current = id;
    tabs.forEach((tab, index) => {
      buttons[index].setAttribute("aria-selected", String(tab.id === id));
      buttons[index].tabIndex = tab.id === id ? 0 : -1;
    });
    open(tabs.find((tab) => tab.id === id));
  }

  list.onkeydown = (event) => {
    const at = tabs.findIndex((tab) => tab.id === current);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const index = (to + tabs.length) % tabs.length;
    choose(tabs[index].id);
    buttons[index].focus();
  };
  list.replaceChildren(...buttons);
  choose(current);
  return { choose, chosen: () => tabs.find((tab) => tab.id === current) };
}
