// The words of the trace format that the page knows, in the order of their codes here.

export const WAITS = [
  "unknown",
  "sleep",
  "io",
  "lock",
  "queue",
  "event",
  "semaphore",
  "task",
  "gather",
  "future",
  "executor",
  "turn",
];

export const WAKERS = ["unknown", "start", "task", "timer", "io", "thread", "callback"];

export const OUTCOMES = ["pending", "returned", "raised", "cancelled"];

// What a segment of a lane shows: ready, running, or FIRST_WAIT and the code of what is waited for.
export const READY = 0;
export const RUNNING = 1;
export const FIRST_WAIT = 2;
export const STATES = [READY, RUNNING, ...WAITS.map((_, code) => FIRST_WAIT + code)];

const WAIT_TEXTS = {
  unknown: "something",
  sleep: "a timer",
  io: "the network or a pipe",
  lock: "a lock",
  queue: "a queue",
  event: "an event",
  semaphore: "a semaphore",
  task: "another task",
  gather: "several tasks",
  future: "a future",
  executor: "a job in a thread",
  turn: "its next turn",
};

// What stands in the legend and on the bars.
const WAIT_NAMES = { io: "I/O", turn: "turn", unknown: "other" };

export function waitName(code) {
  const word = WAITS[code] ?? "unknown";
  return WAIT_NAMES[word] ?? word;
}

// What is waited for; of a queue the operation tells which side of it.
export function waitText(code, operation = "") {
  const word = WAITS[code] ?? "unknown";
  return word === "queue" && operation === "put"
    ? "room in a queue"
    : word === "queue" && operation === "get"
      ? "an item from a queue"
      : WAIT_TEXTS[word];
}

export function stateName(state) {
  if (state === RUNNING) return "running";
  return state === READY ? "ready" : waitName(state - FIRST_WAIT);
}

export function stateText(state) {
  if (state === RUNNING) return "running";
  return state === READY ? "ready, waiting for its turn" : `waiting for ${waitText(state - FIRST_WAIT)}`;
}

const WAKER_TEXTS = {
  unknown: "something that was not recorded",
  start: "its own start",
  task: "a task",
  timer: "a timer",
  io: "the network or a pipe",
  thread: "another thread",
  callback: "a callback",
};

export function wakerText(code) {
  return WAKER_TEXTS[WAKERS[code] ?? "unknown"];
}
