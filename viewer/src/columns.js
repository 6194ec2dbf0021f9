// The groups of a trace as typed arrays, whatever the document holds.

import { OUTCOMES, WAITS, WAKERS } from "./words.js";

const TIME = { array: Float64Array, absent: 0 };
const NUMBER = { array: Int32Array, absent: -1 };
const ID = { array: Float64Array, absent: 0 };
const LIST = { array: Array, absent: null };
const word = (known, fallback) => ({
  array: Uint8Array,
  absent: fallback,
  codes: new Map(known.map((text, code) => [text, code])),
});
const WAKER = word(WAKERS, 0);

// The columns of each group, the one by which its rows are put in order, and how many of the last may be missing:
// those that were added to the format later.
const SCHEMA = {
  sites: { columns: { file: NUMBER, line: NUMBER, function: NUMBER } },
  tasks: {
    columns: {
      id: ID,
      name: NUMBER,
      function: NUMBER,
      parent: ID,
      created_at: NUMBER,
      created_ns: TIME,
      ended_ns: TIME,
      outcome: word(OUTCOMES, 0),
      error: NUMBER,
    },
  },
  steps: {
    order: "begin_ns",
    columns: { task: ID, ready_ns: TIME, begin_ns: TIME, end_ns: TIME, waker: WAKER, waker_task: ID },
  },
  waits: {
    order: "begin_ns",
    columns: { task: ID, begin_ns: TIME, kind: word(WAITS, 0), site: NUMBER, on_task: ID, operation: NUMBER },
    optional: 1,
  },
  callbacks: {
    order: "begin_ns",
    columns: { ready_ns: TIME, begin_ns: TIME, end_ns: TIME, name: NUMBER, waker: WAKER, waker_task: ID },
  },
  turns: { order: "begin_ns", columns: { begin_ns: TIME, end_ns: TIME, ready: NUMBER } },
  polls: { order: "begin_ns", columns: { begin_ns: TIME, end_ns: TIME, events: NUMBER, blocking: NUMBER } },
  timers: { order: "at_ns", columns: { at_ns: TIME, due_ns: TIME, fired: NUMBER, task: ID } },
  io: { order: "at_ns", columns: { at_ns: TIME, fd: NUMBER, readable: NUMBER, writable: NUMBER } },
  executor: {
    order: "begin_ns",
    columns: { task: ID, submitted_ns: TIME, begin_ns: TIME, end_ns: TIME, name: NUMBER },
  },
  gc: { order: "begin_ns", columns: { begin_ns: TIME, end_ns: TIME, generation: NUMBER } },
  cancels: { order: "at_ns", columns: { at_ns: TIME, task: ID, by_task: ID } },
  stalls: { order: "begin_ns", columns: { begin_ns: TIME, end_ns: TIME, task: ID, kind: LIST, stack: LIST } },
  marks: { order: "at_ns", columns: { at_ns: TIME, task: ID, text: NUMBER, source: NUMBER } },
};

export const GROUPS = Object.keys(SCHEMA);

// Return { length, <column>: array… }; a name is added to `uneven` when the group is not as the format says.
export function columnsOf(name, raw, uneven) {
  const { columns, order, optional = 0 } = SCHEMA[name];
  const group = raw !== null && typeof raw === "object" ? raw : {};
  const given = Object.keys(columns).filter((column) => Array.isArray(group[column]));
  const lengths = given.map((column) => group[column].length);
  // Without its times a group says nothing: they would all be zero.
  const timed = Object.entries(columns).every(([column, kind]) => kind !== TIME || given.includes(column));
  const length = lengths.length === 0 || !timed ? 0 : Math.min(...lengths);
  let whole =
    lengths.every((each) => each === length) &&
    (given.length >= Object.keys(columns).length - optional || raw === undefined);
  let result = { length };
  const untimed = new Set();
  for (const [column, kind] of Object.entries(columns)) {
    result[column] = filled(kind, group[column], length);
    if (kind !== TIME) continue;
    for (let row = 0; row < length; row++) if (Number.isNaN(result[column][row])) untimed.add(row);
  }
  if (untimed.size > 0) {
    whole = false;
    result = picked(
      result,
      [...Array(length).keys()].filter((row) => !untimed.has(row)),
    );
  }
  if (!whole) uneven.push(name);
  return order === undefined ? result : inOrder(result, order);
}

function filled(kind, values, length) {
  if (kind === LIST) return Array.isArray(values) ? values.slice(0, length) : new Array(length).fill(null);
  const array = new kind.array(length);
  if (!Array.isArray(values)) return array.fill(kind.absent);
  for (let row = 0; row < length; row++) {
    const value = values[row];
    if (kind.codes !== undefined) array[row] = kind.codes.get(value) ?? kind.absent;
    else if (kind === TIME) array[row] = typeof value === "number" ? value : NaN;
    else array[row] = Number.isSafeInteger(value) ? value : kind.absent;
  }
  return array;
}

// These rows of a group, in this order.
function picked(group, rows) {
  const result = { length: rows.length };
  for (const [name, column] of Object.entries(group)) {
    if (name === "length") continue;
    const moved = column.slice(0, rows.length);
    for (let row = 0; row < rows.length; row++) moved[row] = column[rows[row]];
    result[name] = moved;
  }
  return result;
}

// The same rows, ordered by one column. Rows of a trace stand in the order of their end, which mostly is the same.
function inOrder(group, key) {
  const values = group[key];
  let sorted = true;
  for (let row = 1; row < group.length && sorted; row++) sorted = values[row - 1] <= values[row];
  if (sorted) return group;
  const order = Uint32Array.from({ length: group.length }, (_, row) => row);
  order.sort((a, b) => values[a] - values[b] || a - b);
  return picked(group, order);
}
