// The visible ones of a row of bars that follow each other, with those merged that share a pixel.

import { firstAbove, firstAtLeast } from "./search-sorted.js";

const NARROW = 1.5; // pixels: a bar below it is drawn together with its neighbours

// Call emit(left, right, from, to) for each thing to draw: rows [from, to) stand for one bar when to - from is 1.
// However many rows there are, at most two calls are made for each column of pixels.
export function eachVisible(view, begin, end, from, to, emit) {
  let at = firstAbove(end, view.begin, from, to);
  const until = view.end();
  while (at < to && begin[at] < until) {
    const left = view.x(begin[at]);
    const right = view.x(end[at]);
    if (right - left >= NARROW) {
      emit(left, right, at, at + 1);
      at++;
      continue;
    }
    const column = Math.floor(left);
    let next = firstAtLeast(begin, view.time(column + 1), at + 1, to);
    if (next - 1 > at && view.x(end[next - 1]) - view.x(begin[next - 1]) >= NARROW) next--;
    emit(column, column + 1, at, next);
    at = next;
  }
}
