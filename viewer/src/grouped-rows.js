// The rows of a group by the task that they belong to.

// Return { of(task) }: a view of the rows of that task, in their order. `indexOf` turns a value into a task, or -1.
export function groupedRows(values, indexOf, length) {
  const owner = new Int32Array(values.length);
  const start = new Uint32Array(length + 2);
  for (let row = 0; row < values.length; row++) {
    owner[row] = indexOf(values[row]);
    if (owner[row] >= 0) start[owner[row] + 2]++;
  }
  for (let task = 2; task < start.length; task++) start[task] += start[task - 1];
  const rows = new Uint32Array(start[length + 1]);
  for (let row = 0; row < values.length; row++) {
    if (owner[row] >= 0) rows[start[owner[row] + 1]++] = row;
  }
  return { rows, of: (task) => rows.subarray(start[task], start[task + 1]) };
}
