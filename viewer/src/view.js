// The window of time that is shown, and its place on the screen.

const NARROWEST = 200; // nanoseconds: below it a pixel is less than the clock can tell

// Return the view of a recording; `changed` is called after each change.
export function viewOf(total, changed) {
  const whole = Math.max(total, 1000);
  const view = { begin: 0, span: whole, width: 1, total: whole };

  function set(begin, span) {
    const margin = 0.01;
    const wide = Math.min(Math.max(span, NARROWEST), whole * (1 + 2 * margin));
    const low = -margin * wide;
    const high = Math.max(whole - wide * (1 - margin), low);
    const next = Math.min(Math.max(begin, low), high);
    if (next === view.begin && wide === view.span) return;
    view.begin = next;
    view.span = wide;
    changed();
  }

  view.x = (time) => ((time - view.begin) / view.span) * view.width;
  view.time = (x) => view.begin + (x / view.width) * view.span;
  view.end = () => view.begin + view.span;
  // Zoom so that the moment below `x` stays there; a factor above 1 shows more time.
  view.zoom = (factor, x = view.width / 2) => {
    const fixed = view.time(x);
    const span = Math.min(Math.max(view.span * factor, NARROWEST), whole * 1.02);
    set(fixed - (x / view.width) * span, span);
  };
  view.pan = (pixels) => set(view.begin + (pixels / view.width) * view.span, view.span);
  view.fit = () => set(-0.01 * whole, whole * 1.02);
  // Show a stretch of time with some room on both sides.
  view.show = (begin, end) => {
    const span = Math.max(end - begin, NARROWEST) * 1.5;
    set((begin + end) / 2 - span / 2, span);
  };
  // Move as little as needed so that a stretch is on the screen.
  view.reveal = (begin, end) => {
    if (end - begin > view.span) view.show(begin, end);
    else if (begin < view.begin || end > view.end()) set((begin + end) / 2 - view.span / 2, view.span);
  };
  view.place = set;
  view.fit();
  return view;
}
