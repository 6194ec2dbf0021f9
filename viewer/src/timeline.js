// The timeline itself: three canvases that show one view, drawn again only after a change.

import { byId, element } from "./dom.js";
import { drawArrows } from "./draw-arrows.js";
import { drawGrid } from "./draw-ruler.js";
import { drawLane, LANE } from "./draw-lane.js";
import { drawOverview, moveByOverview, OVERVIEW } from "./overview.js";
import { laneNames } from "./lane-names.js";
import { listenToPointer } from "./pointer.js";
import { penFor } from "./pen.js";
import { thingOnLane, thingOnLoop } from "./hit.js";
import { viewOf } from "./view.js";

// Return the timeline of the page; `act` has palette(), choose(thing), hovered(thing, x, y), zoomTo(thing), details(task), changed().
export function timelineOn(act) {
  const scroller = byId("lanes");
  const body = byId("lanes-body");
  const pens = {
    overview: penFor(byId("overview")),
    loop: penFor(byId("loop")),
    lanes: penFor(byId("lane-canvas")),
  };
  const state = {
    model: null,
    lanes: null,
    view: null,
    busy: null,
    loopRows: null,
    chosen: null,
    hover: null,
    found: new Set(),
    allArrows: false,
    onlyActive: false,
    row: 0,
  };
  const statistics = { frames: 0, drawn: 0, lanes: 0, arrows: 0, arrowsLeft: false };
  let asked = false;

  const names = laneNames(byId("tree"), {
    choose: act.choose,
    details: act.details,
    toggle: (task) => {
      state.lanes.toggle(task);
      lanesChanged();
    },
    focused: (row) => {
      state.row = row;
      revealRow(row);
    },
  });

  function invalidate() {
    if (asked || state.model === null) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  }

  function open(model, lanes, busy, loopRows) {
    Object.assign(state, {
      model,
      lanes,
      busy,
      loopRows,
      chosen: null,
      hover: null,
      found: new Set(),
      row: 0,
    });
    state.view = viewOf(model.duration, () => {
      invalidate();
      act.changed();
    });
    byId("loop-names").replaceChildren(
      ...loopRows.rows.map((row) => {
        const item = element("div", { class: "loop-name", title: row.hint }, row.name);
        item.style.height = `${row.height}px`;
        return item;
      }),
    );
    scroller.scrollTop = 0;
    namesChanged();
    lanesChanged();
  }

  function namesChanged() {
    names.open({
      model: state.model,
      lanes: state.lanes,
      found: state.found,
      chosen: state.chosen?.task ?? -1,
    });
  }

  function lanesChanged() {
    body.style.height = `${state.lanes.rows.length * LANE}px`;
    names.forget();
    act.changed();
    invalidate();
  }

  // The lanes on the screen: the first, and the one behind the last.
  function visibleRows() {
    const first = Math.floor(scroller.scrollTop / LANE);
    return [first, Math.min(first + Math.ceil(scroller.clientHeight / LANE) + 1, state.lanes.rows.length)];
  }

  function draw() {
    const { model, view, busy, loopRows } = state;
    const palette = act.palette();
    const width = Math.max(scroller.clientWidth - byId("tree").offsetWidth, 50);
    view.width = width;
    if (state.onlyActive && state.lanes.only(view.begin, view.end())) lanesChanged();
    statistics.frames++;
    pens.overview.begin(width, OVERVIEW, palette);
    drawOverview(pens.overview, view, model, busy);
    const offset = view.x(0);
    pens.loop.begin(width, loopRows.height, palette, offset);
    drawGrid(pens.loop, view, loopRows.height);
    for (const row of loopRows.rows) row.draw(pens.loop, view, row.top);
    pens.loop.flush();
    drawLanes(width, offset, palette);
    statistics.drawn = pens.overview.drawn + pens.loop.drawn + pens.lanes.drawn;
  }

  function drawLanes(width, offset, palette) {
    const { model, lanes, view } = state;
    const pen = pens.lanes;
    const scroll = scroller.scrollTop;
    const [first, last] = visibleRows();
    pen.begin(width, scroller.clientHeight, palette, offset);
    for (let row = first; row < last; row++) {
      if (row % 2 === 1) pen.bar(0, row * LANE - scroll, width, LANE, palette.stripe);
      pen.flush();
    }
    drawGrid(pen, view, pen.height);
    for (let row = first; row < last; row++) drawLane(pen, view, model, lanes.rows[row], row * LANE - scroll);
    drawChosen(pen, scroll);
    const task = state.chosen?.task ?? -1;
    const hovered = state.hover?.task ?? -1;
    const of = state.allArrows ? [-1] : [...new Set([task, hovered])].filter((each) => each >= 0);
    statistics.arrows = 0;
    statistics.arrowsLeft = false;
    for (const each of of) {
      const { drawn, left } = drawArrows(pen, view, model, lanes, scroll, each);
      statistics.arrows += drawn;
      statistics.arrowsLeft ||= left;
    }
    pen.flush();
    statistics.lanes = last - first;
    names.show(first, last);
  }

  function drawChosen(pen, scroll) {
    const { model, lanes, view, chosen } = state;
    for (const thing of [state.hover, chosen]) {
      if (thing === null || !(thing.task >= 0)) continue;
      const top = lanes.rowOf[thing.task] * LANE - scroll;
      const colour = thing === chosen ? pen.palette.select : pen.palette.line;
      if (thing.group === "segment") {
        const left = view.x(model.segments.begin[thing.at]);
        pen.outline(left, top + 1, view.x(model.segments.end[thing.at]) - left, LANE - 2, colour, 2);
      } else if (thing === chosen) {
        pen.line(0, top + 0.5, pen.width, top + 0.5, colour);
        pen.line(0, top + LANE - 0.5, pen.width, top + LANE - 0.5, colour);
      }
    }
  }

  function revealRow(row) {
    const [top, bottom] = [row * LANE, (row + 1) * LANE];
    if (top < scroller.scrollTop) scroller.scrollTop = top - LANE;
    else if (bottom > scroller.scrollTop + scroller.clientHeight)
      scroller.scrollTop = bottom - scroller.clientHeight + LANE;
    invalidate();
  }

  function revealTask(task) {
    const before = state.lanes.rows.length;
    state.lanes.reveal(task);
    if (state.lanes.rows.length !== before) lanesChanged();
    state.row = state.lanes.rowOf[task];
    revealRow(state.row);
  }

  function choose(thing) {
    state.chosen = thing;
    if (thing?.task >= 0) revealTask(thing.task);
    markNames();
    invalidate();
  }

  function markNames() {
    const { model, lanes, found, chosen } = state;
    if (model === null) return;
    names.restate({ model, lanes, found, chosen: chosen?.task ?? -1 });
  }

  const onLane = (x, y) => (state.model === null ? null : thingOnLane(state, x, y + scroller.scrollTop));
  const onLoop = (x, y) => (state.model === null ? null : thingOnLoop(state, x, y));
  for (const [canvas, find] of [
    [byId("lane-canvas"), onLane],
    [byId("loop"), onLoop],
  ]) {
    const hover = (thing, x, y) => {
      act.hovered(thing, x, y);
      if (JSON.stringify(thing) === JSON.stringify(state.hover)) return;
      state.hover = thing;
      invalidate();
    };
    listenToPointer(canvas, {
      view: () => state.view,
      scroll: (pixels) => {
        scroller.scrollTop += pixels;
      },
      hover: (x, y, event) => hover(find(x, y), event.clientX, event.clientY),
      leave: () => hover(null, 0, 0),
      click: (x, y) => {
        const thing = find(x, y);
        if (thing !== null) act.choose(thing);
      },
      open: (x, y) => {
        const thing = find(x, y);
        if (thing !== null) act.zoomTo(thing);
      },
    });
  }
  moveByOverview(byId("overview"), () => state.view);
  scroller.addEventListener("scroll", () => {
    invalidate();
    act.changed();
  });
  new ResizeObserver(invalidate).observe(scroller);

  return {
    state,
    statistics,
    open,
    invalidate,
    choose,
    revealTask,
    lanesChanged,
    markNames,
    visibleRows,
    focusRow: (row) => {
      revealRow(row);
      if (state.model !== null) draw();
      names.focus(row);
    },
  };
}
