// Which lanes there are on the screen: the tree of tasks, with some branches closed.

// Return the lanes of a model: { rows, rowOf, closed, depth, … }
//   rows: the tasks that have a lane, from above · rowOf: the lane of each task, that of an ancestor if it has none
//   toggle(task), closeAll(), openAll(), reveal(task): close and open branches
//   only(begin, end): leave out tasks that did not live then; only() takes that back. True if the lanes are others now
export function lanesOf({ tasks, roots, parentOf, childrenOf }) {
  const closed = new Uint8Array(tasks.length);
  const depth = new Uint16Array(tasks.length);
  const lanes = { rows: new Int32Array(0), rowOf: new Int32Array(tasks.length), closed, depth };

  let from = -Infinity;
  let to = Infinity;
  const lived = (task) =>
    tasks.created_ns[task] <= to && (tasks.ended_ns[task] < 0 || tasks.ended_ns[task] >= from);

  function rebuild() {
    const rows = [];
    const stack = [...roots].reverse();
    while (stack.length > 0) {
      const task = stack.pop();
      const parent = parentOf[task];
      depth[task] = parent === -1 ? 0 : Math.min(depth[parent] + 1, 65535);
      if (parent !== -1 && (closed[parent] === 1 || hidden[parent] === 1)) {
        hidden[task] = 1;
        lanes.rowOf[task] = lanes.rowOf[parent];
      } else if (!lived(task)) {
        hidden[task] = 0;
        lanes.rowOf[task] = parent === -1 ? Math.max(rows.length - 1, 0) : lanes.rowOf[parent];
      } else {
        hidden[task] = 0;
        lanes.rowOf[task] = rows.length;
        rows.push(task);
      }
      const children = childrenOf.of(task);
      for (let at = children.length - 1; at >= 0; at--) stack.push(children[at]);
    }
    lanes.rows = Int32Array.from(rows);
  }
  const hidden = new Uint8Array(tasks.length);

  lanes.toggle = (task) => {
    closed[task] = closed[task] === 1 ? 0 : 1;
    rebuild();
  };
  lanes.closeAll = () => {
    for (let task = 0; task < tasks.length; task++) closed[task] = childrenOf.of(task).length > 0 ? 1 : 0;
    rebuild();
  };
  lanes.openAll = () => {
    closed.fill(0);
    rebuild();
  };
  lanes.only = (begin = -Infinity, end = Infinity) => {
    [from, to] = [begin, end];
    const before = lanes.rows;
    rebuild();
    return before.length !== lanes.rows.length || before.some((task, row) => task !== lanes.rows[row]);
  };
  lanes.reveal = (task) => {
    if (hidden[task] === 0) return;
    for (let parent = parentOf[task]; parent !== -1; parent = parentOf[parent]) closed[parent] = 0;
    rebuild();
  };
  rebuild();
  return lanes;
}
