// The whole recording as a strip, with the window that the page shows below.

export const OVERVIEW = 30; // pixels

export function drawOverview(pen, view, model, busy) {
  const { palette, width, context } = pen;
  const inner = OVERVIEW - 6;
  const base = OVERVIEW - 2;
  pen.drawn++;
  context.fillStyle = palette.idle;
  context.beginPath();
  context.moveTo(0, base);
  const step = view.total / Math.max(width, 1);
  for (let x = 0; x < width; x += 2) {
    const level = base - inner * Math.min(busy.between(x * step, (x + 2) * step) / (2 * step), 1);
    context.lineTo(x, level);
    context.lineTo(x + 2, level);
  }
  context.lineTo(width, base);
  context.fill();
  for (let row = 0, last = -Infinity; row < model.stalls.length; row++) {
    const left = model.stalls.begin_ns[row] / step;
    const right = Math.max(model.stalls.end_ns[row] / step, left + 2);
    if (right - last < 1) continue;
    last = right;
    pen.bar(left, 1, right - left, 6, palette.alarm);
  }
  pen.flush();
  const left = view.begin / step;
  const wide = Math.max(view.span / step, 3);
  pen.bar(0, 0, left, OVERVIEW, palette.surface, 0.65);
  pen.flush();
  pen.bar(left + wide, 0, width - left - wide, OVERVIEW, palette.surface, 0.65);
  pen.outline(left + 1, 1, Math.min(wide, width - Math.max(left, 0)) - 2, OVERVIEW - 2, palette.text, 2);
}

// Let the pointer move the window: a press puts its middle there, a drag takes it along.
export function moveByOverview(canvas, getView) {
  const to = (event) => {
    const view = getView();
    const time = (event.offsetX / canvas.clientWidth) * view.total;
    view.place(time - view.span / 2, view.span);
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (getView() === null) return;
    canvas.setPointerCapture(event.pointerId);
    to(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (canvas.hasPointerCapture(event.pointerId)) to(event);
  });
}
