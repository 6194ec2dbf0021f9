// From the text of a document to its tables, and to sentences about what is wrong with it.

import { count, counted } from "./format.js";
import { repaired } from "./repair.js";
import { columnsOf, GROUPS } from "./columns.js";

const FORMAT = "maypole-trace";
const VERSION = 1;

// Return { document, problems, cut }: document is null when nothing of it can be shown. A problem is a sentence;
// `cut` is whether the end of the text is missing.
export function load(text) {
  if (text.trim() === "") {
    return refused(
      "There is no trace in this page. Open a .json file that maypole trace wrote, or drop one here.",
    );
  }
  const { raw, error } = parsed(text);
  if (
    raw === null ||
    typeof raw !== "object" ||
    Array.isArray(raw) ||
    (error !== "" && Object.keys(raw).length === 0)
  ) {
    const reason = error === "" ? "JSON, but not an object." : `not JSON (${error}).`;
    return refused(`This is no maypole trace: it is ${reason}`);
  }
  if (raw.format !== FORMAT) return refused(notOurs(raw.format));
  if (raw.version !== VERSION) {
    return refused(
      `This trace is of version ${shown(raw.version)}; this page reads version ${VERSION}. ` +
        "Write the trace again, or open it in the page of the maypole that wrote it.",
    );
  }
  const { document, missing, wrong, uneven } = tables(raw);
  const problems = error === "" ? faults(missing, wrong, uneven) : [cutShort(text, missing, uneven)];
  return { document, problems, cut: error !== "" };
}

function refused(problem) {
  return { document: null, problems: [problem], cut: false };
}

function notOurs(format) {
  return format === undefined
    ? "This is no maypole trace: it does not say its format."
    : `This is no maypole trace: its format is ${shown(format)}.`;
}

function shown(value) {
  const text = JSON.stringify(value) ?? "not given";
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

// The value, and what is wrong with the text; of a text that was cut short the value is that of its beginning.
function parsed(text) {
  try {
    return { raw: JSON.parse(text), error: "" };
  } catch (error) {
    const rest = repaired(text);
    try {
      return { raw: rest === null ? null : JSON.parse(rest), error: error.message };
    } catch {
      return { raw: null, error: error.message };
    }
  }
}

function tables(raw) {
  const missing = GROUPS.filter((name) => raw[name] === undefined);
  const isGroup = (value) => value !== null && typeof value === "object";
  const wrong = GROUPS.filter((name) => raw[name] !== undefined && !isGroup(raw[name]));
  const document = {
    program: isGroup(raw.program) ? raw.program : {},
    duration: Number.isFinite(raw.duration_ns) && raw.duration_ns > 0 ? raw.duration_ns : 0,
    complete: raw.complete !== false,
    dropped: Number.isFinite(raw.dropped_events) ? raw.dropped_events : 0,
    strings: Array.isArray(raw.strings) ? raw.strings : [],
  };
  const uneven = [];
  for (const name of GROUPS) {
    document[name] = columnsOf(name, isGroup(raw[name]) ? raw[name] : undefined, uneven);
  }
  return { document, missing, wrong, uneven };
}

function cutShort(text, missing, uneven) {
  const start = `The trace is cut short: it ends after ${count(text.length)} characters, in the middle.`;
  const part = uneven.length === 0 ? "" : `, and a part of ${listed(uneven)}`;
  return missing.length === 0
    ? `${start} What came before is shown.`
    : `${start} What came before is shown; missing are ${listed(missing)}${part}.`;
}

function faults(missing, wrong, uneven) {
  const found = [];
  if (missing.length > 0) found.push(`The trace has no ${listed(missing)}; the page shows the rest.`);
  if (wrong.length > 0) {
    const are = wrong.length === 1 ? "is" : "are";
    found.push(`In the trace ${listed(wrong)} ${are} no group of columns; the page shows the rest.`);
  }
  if (uneven.length > 0) {
    const groups = `${counted(uneven.length, "group")} of the trace (${listed(uneven)})`;
    const have = uneven.length === 1 ? "has" : "have";
    found.push(`${groups} ${have} columns of unequal length or of a wrong kind; only whole rows are shown.`);
  }
  return found;
}

function listed(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
