// Mouse and touch on a canvas of the timeline.

const CLICK = 5; // pixels: a press that moves less is a click

// Listen on a canvas; `act` has view(), scroll(pixels), hover(x, y, event), leave(), click(x, y), open(x, y).
export function listenToPointer(canvas, act) {
  const down = new Map(); // the pressed pointers, by id
  let moved = 0;
  let pinch = 0;

  canvas.addEventListener(
    "wheel",
    (event) => {
      const view = act.view();
      if (view === null) return;
      event.preventDefault();
      const unit = event.deltaMode === 1 ? 18 : event.deltaMode === 2 ? 300 : 1;
      const [dx, dy] = [event.deltaX * unit, event.deltaY * unit];
      if (event.shiftKey || Math.abs(dx) > Math.abs(dy)) view.pan(dx === 0 ? dy : dx);
      else view.zoom(Math.exp(Math.max(Math.min(dy, 240), -240) * 0.0025), event.offsetX);
    },
    { passive: false },
  );

  canvas.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse" && event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    if (down.size === 1) moved = 0;
    pinch = distance(down);
  });

  canvas.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId);
    const view = act.view();
    if (view === null) return;
    if (before === undefined) {
      act.hover(event.offsetX, event.offsetY, event);
      return;
    }
    const [dx, dy] = [event.offsetX - before.x, event.offsetY - before.y];
    down.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    moved += Math.abs(dx) + Math.abs(dy);
    if (moved < CLICK) return;
    act.leave();
    if (down.size > 1) {
      const now = distance(down);
      view.pan(-dx / down.size);
      if (now > 0 && pinch > 0) view.zoom(pinch / now, middle(down));
      pinch = now;
    } else {
      view.pan(-dx);
      // A finger that goes up and down scrolls by itself.
      if (event.pointerType === "mouse") act.scroll(-dy);
    }
  });

  const up = (event) => {
    if (!down.delete(event.pointerId)) return;
    pinch = distance(down);
    if (event.type === "pointerup" && down.size === 0 && moved < CLICK)
      act.click(event.offsetX, event.offsetY);
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("pointerleave", act.leave);
  canvas.addEventListener("dblclick", (event) => act.open(event.offsetX, event.offsetY));
}

function distance(pointers) {
  const [a, b] = [...pointers.values()];
  return b === undefined ? 0 : Math.hypot(a.x - b.x, a.y - b.y);
}

function middle(pointers) {
  const [a, b] = [...pointers.values()];
  return (a.x + b.x) / 2;
}
