// From the text of a document to its tables, and to sentences about what is wrong with it.

import { count, counted } from "./format.js";
import { repaired } from "./repair.js";
import { columnsOf, GROUPS } from "./columns.js";

const FORMAT = "maypole-trace";
const VERSION = 1;

// Return { document, problems }: document is null when nothing of it can be shown. A problem is a sentence.
export function load(text) {
  if (text.trim() === "") {
    return refused(
      "There is no trace in this page. Open a .json file that maypole trace wrote, or drop one here.",
    );
  }
  const problems = [];
  const raw = parse(text, problems);
  if (raw === null) return { document: null, problems };
  if (raw.format !== FORMAT) return refused(notOurs(raw.format));
  if (raw.version !== VERSION) {
    return refused(
      `This trace is of version ${shown(raw.version)}; this page reads version ${VERSION}. ` +
        "Write the trace again, or open it in the page of the maypole that wrote it.",
    );
  }
  return { document: tables(raw, problems), problems };
}

function refused(problem) {
  return { document: null, problems: [problem] };
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

function parse(text, problems) {
  let raw;
  try {
    raw = JSON.parse(text);
  } catch (error) {
    const rest = repaired(text);
    try {
      raw = rest === null ? null : JSON.parse(rest);
    } catch {
      raw = null;
    }
    if (raw === null || typeof raw !== "object" || Array.isArray(raw) || Object.keys(raw).length === 0) {
      problems.push(`This is no maypole trace: it is not JSON (${error.message}).`);
      return null;
    }
    problems.push(
      `The trace is cut short: it ends after ${count(text.length)} characters, in the middle. ` +
        "What came before is shown; the rest is missing.",
    );
  }
  if (raw === null || typeof raw !== "object" || Array.isArray(raw)) {
    problems.push("This is no maypole trace: it is JSON, but not an object.");
    return null;
  }
  return raw;
}

function tables(raw, problems) {
  const missing = GROUPS.filter((name) => raw[name] === undefined);
  const wrong = GROUPS.filter(
    (name) => raw[name] !== undefined && (raw[name] === null || typeof raw[name] !== "object"),
  );
  const document = {
    program: raw.program !== null && typeof raw.program === "object" ? raw.program : {},
    duration: Number.isFinite(raw.duration_ns) && raw.duration_ns > 0 ? raw.duration_ns : 0,
    complete: raw.complete !== false,
    dropped: Number.isFinite(raw.dropped_events) ? raw.dropped_events : 0,
    strings: Array.isArray(raw.strings) ? raw.strings : [],
  };
  const uneven = [];
  for (const name of GROUPS)
    document[name] = columnsOf(name, wrong.includes(name) ? undefined : raw[name], uneven);
  if (missing.length > 0) problems.push(`The trace has no ${listed(missing)}; the page shows the rest.`);
  if (wrong.length > 0)
    problems.push(
      `In the trace ${listed(wrong)} ${wrong.length === 1 ? "is" : "are"} no group of columns; the page shows the rest.`,
    );
  if (uneven.length > 0) {
    problems.push(
      `${counted(uneven.length, "group")} of the trace (${listed(uneven)}) ${uneven.length === 1 ? "has" : "have"} columns of unequal length or of a wrong kind; only whole rows are shown.`,
    );
  }
  return document;
}

function listed(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
