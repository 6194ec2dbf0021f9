// Binary search in sorted arrays: the visible part of anything is found without looking at the rest.

// The first index in [from, to) whose value is greater than or equal to `wanted`; `to` if none is.
export function firstAtLeast(values, wanted, from = 0, to = values.length) {
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (values[middle] < wanted) from = middle + 1;
    else to = middle;
  }
  return from;
}

// The first index in [from, to) whose value is greater than `wanted`; `to` if none is.
export function firstAbove(values, wanted, from = 0, to = values.length) {
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (values[middle] <= wanted) from = middle + 1;
    else to = middle;
  }
  return from;
}
