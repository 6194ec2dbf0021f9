// The visible part of the timeline as rows of a table.

import { duration } from "./format.js";
import { segmentsIn } from "./summaries.js";

const MOST_PARTS = 500;

// Return { caption(), items() } for a timeline; a caption is of what is visible then, and so are the items behind it.
export function windowRowsOf({ state, visibleRows }) {
  let items = [];

  function caption() {
    const { model, lanes, view } = state;
    const [first, last] = visibleRows();
    const found = segmentsIn(model, lanes.rows.subarray(first, last), view.begin, view.end(), MOST_PARTS);
    items = found.items;
    const some = `The first ${items.length} of ${found.all} parts; zoom in for the others.`;
    const where = `lanes ${first + 1} to ${last} of ${lanes.rows.length}, ${windowText(view)}`;
    return `What the timeline shows now, as text: ${where}.${items.length < found.all ? ` ${some}` : ""}`;
  }

  return { caption, items: () => items };
}

// "1.2 s to 1.5 s": the window that is shown.
export function windowText(view) {
  return `${duration(Math.max(view.begin, 0))} to ${duration(Math.min(view.end(), view.total))}`;
}
