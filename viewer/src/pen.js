// A canvas that counts what is drawn on it, and joins neighbouring bars of the same look.

import { fillsOf } from "./patterns.js";

export const FONT = "11px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

// Return a pen for a canvas; begin(width, height) clears it for a new picture.
export function penFor(canvas) {
  const context = canvas.getContext("2d");
  const pen = { canvas, context, palette: null, drawn: 0, width: 0, height: 0 };
  let pending = null;
  let fills = null;
  let made = "";

  pen.begin = (width, height, palette, offset = 0) => {
    const ratio = window.devicePixelRatio || 1;
    const [wide, tall] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== wide || canvas.height !== tall) [canvas.width, canvas.height] = [wide, tall];
    canvas.style.height = `${height}px`;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = FONT;
    context.textBaseline = "middle";
    if (made !== `${ratio} ${palette.surface}`) {
      made = `${ratio} ${palette.surface}`;
      fills = fillsOf(context, palette, ratio);
    }
    fills.moveTo(offset, 0);
    Object.assign(pen, { palette, width, height, drawn: 0 });
  };
  pen.fill = (colour, pattern) => fills(colour, pattern);

  // A bar; what follows directly behind it with the same look becomes part of it.
  pen.bar = (x, y, width, height, style, alpha = 1) => {
    const left = Math.max(x, -2);
    const right = Math.min(x + width, pen.width + 2);
    if (right <= left) return;
    if (
      pending !== null &&
      pending.style === style &&
      pending.alpha === alpha &&
      pending.y === y &&
      left <= pending.right + 0.01
    ) {
      pending.right = Math.max(pending.right, right);
      return;
    }
    pen.flush();
    pending = { left, right, y, height, style, alpha };
  };
  pen.flush = () => {
    if (pending === null) return;
    const { left, right, y, height, style, alpha } = pending;
    pending = null;
    pen.drawn++;
    context.globalAlpha = alpha;
    context.fillStyle = style;
    context.fillRect(left, y, Math.max(right - left, 1), height);
    context.globalAlpha = 1;
  };
  pen.line = (x0, y0, x1, y1, colour, width = 1, dash = []) => {
    pen.flush();
    pen.drawn++;
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.setLineDash(dash);
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
    context.stroke();
    context.setLineDash([]);
  };
  pen.outline = (x, y, width, height, colour, line = 2) => {
    pen.flush();
    pen.drawn++;
    context.strokeStyle = colour;
    context.lineWidth = line;
    const left = Math.max(x, -4);
    context.strokeRect(left, y, Math.max(Math.min(x + width, pen.width + 4) - left, 2), height);
  };
  pen.shape = (points, colour) => {
    pen.flush();
    pen.drawn++;
    context.fillStyle = colour;
    context.beginPath();
    points.forEach(([x, y], index) => (index === 0 ? context.moveTo(x, y) : context.lineTo(x, y)));
    context.closePath();
    context.fill();
  };
  pen.text = (text, x, y, colour, align = "left") => {
    pen.flush();
    pen.drawn++;
    context.textAlign = align;
    context.fillStyle = colour;
    context.fillText(text, x, y);
  };
  pen.measure = (text) => context.measureText(text).width;
  // The first of the texts that has room; "" if none has.
  pen.fitting = (texts, room) => texts.find((text) => pen.measure(text) <= room) ?? "";
  return pen;
}
