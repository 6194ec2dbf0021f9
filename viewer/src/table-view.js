// A table that is sorted by a press on a heading, and shows the first rows of many.

import { button, element } from "./dom.js";
import { count } from "./format.js";

const ROWS = 100; // at first, and more with each press of "more"

// columns: [{ name, value(item), text(item), number, hint }] · return { node, sortBy(index) }
// `chosen` is called with an item when its row is pressed.
export function sortedTable({
  caption,
  columns,
  items,
  chosen,
  sortColumn = 0,
  sortUp,
  empty = "There is none in this trace.",
}) {
  if (items.length === 0) return { node: element("p", { class: "empty" }, empty), sortBy: () => {} };
  let by = sortColumn;
  let up = sortUp ?? !columns[by].number;
  let limit = ROWS;
  const body = element("tbody", {});
  const more = element("p", { class: "more" });
  const headings = columns.map((column, index) =>
    element(
      "th",
      { scope: "col", class: column.number ? "number" : null, title: column.hint },
      button(column.name, () => sortBy(index)),
    ),
  );
  const table = element(
    "table",
    {},
    element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...headings)),
    body,
  );

  function sortBy(index) {
    up = index === by ? !up : !columns[index].number;
    by = index;
    limit = ROWS;
    fill();
  }

  function fill() {
    const { value } = columns[by];
    const keyed = items.map((item) => [value(item), item]);
    keyed.sort(([a], [b]) => (up ? 1 : -1) * (typeof a === "string" ? a.localeCompare(b) : a - b));
    body.replaceChildren(...keyed.slice(0, limit).map(([, item]) => row(item)));
    headings.forEach((heading, index) =>
      heading.setAttribute("aria-sort", index !== by ? "none" : up ? "ascending" : "descending"),
    );
    more.replaceChildren();
    if (items.length > limit) {
      more.append(
        `${count(limit)} of ${count(items.length)} rows. `,
        button("Show more", () => {
          limit += 5 * ROWS;
          fill();
        }),
      );
    }
  }

  function row(item) {
    const cells = columns.map((column, index) => {
      const text = column.text === undefined ? String(column.value(item)) : column.text(item);
      const attributes = { class: column.number ? "number" : null };
      if (index > 0) return element("td", attributes, text);
      return element(
        "th",
        { scope: "row", ...attributes },
        button(text || "–", () => chosen(item), { class: "link" }),
      );
    });
    return element(
      "tr",
      {
        onclick: (event) => {
          if (!event.target.closest("button")) chosen(item);
        },
      },
      ...cells,
    );
  }

  fill();
  return { node: element("div", { class: "table" }, table, more), sortBy };
}
