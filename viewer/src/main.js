// The page: it opens the trace that it holds, and joins what the reader does with what is shown.

import { busyOf } from "./busy.js";
import { byId, element } from "./dom.js";
import { counted, duration } from "./format.js";
import { describe } from "./describe.js";
import { eventsIn, modelOf } from "./model.js";
import { fillHelp, listenToKeys } from "./keys.js";
import { fillLegend } from "./legend.js";
import { findingsOf, taskOfSegment } from "./findings.js";
import { lanesOf } from "./lanes.js";
import { listenToFiles } from "./open-file.js";
import { listenToSearch } from "./search.js";
import { load } from "./load.js";
import { lookOf } from "./patterns.js";
import { loopRowsOf } from "./loop-rows.js";
import { showFindings, showHead } from "./head.js";
import { showDetails } from "./details.js";
import { showTooltip } from "./tooltip.js";
import { sortedTable } from "./table-view.js";
import { tabList } from "./tab-list.js";
import { tabsOf } from "./tables.js";
import { themeSwitch } from "./theme.js";
import { timelineOn } from "./timeline.js";
import { STATES } from "./words.js";
import { totalsOf, waitPlaces } from "./totals.js";
import { windowRowsOf, windowText } from "./window-rows.js";

const SETTLED = 150; // milliseconds without a change before that table is written again

function start() {
  let tabs = null;
  let timer = 0;
  const theme = themeSwitch(() => repaint());
  const timeline = timelineOn({
    palette: theme.palette,
    choose,
    zoomTo: (thing) => {
      choose(thing);
      zoomToChosen();
    },
    details: (task) => {
      choose({ group: "task", task });
      focusDetails();
    },
    hovered: (thing, x, y) => showTooltip(timeline.state.model, thing, x, y),
    changed,
  });
  const { state } = timeline;
  const windowRows = windowRowsOf(timeline);

  function repaint() {
    if (state.model === null) return;
    fillLegend(byId("legend"), state.model, theme.palette());
    if (state.chosen !== null) choose(state.chosen);
    timeline.invalidate();
  }

  function open(text, name) {
    const { document: loaded, problems, cut } = load(text);
    byId("problems").replaceChildren(...problems.map((problem) => element("p", {}, problem)));
    byId("problems").hidden = problems.length === 0;
    document.body.classList.toggle("nothing", loaded === null);
    if (loaded === null) {
      byId("program").textContent = name ?? "maypole timeline";
      byId("facts").textContent = "";
      return;
    }
    const model = modelOf(loaded);
    const busy = busyOf(model);
    close();
    timeline.open(model, lanesOf(model), busy, loopRowsOf(model, busy));
    showHead(model, name);
    const totals = totalsOf(model);
    const places = waitPlaces(model);
    showFindings(findingsOf(model, totals, places, busy), (thing) => {
      choose(thing);
      zoomToChosen();
    });
    fillLegend(byId("legend"), model, theme.palette());
    if (eventsIn(model) === 0 && !cut) {
      byId("problems").append(
        element("p", {}, "The trace holds no events: nothing ran while it was recorded."),
      );
      byId("problems").hidden = false;
    }
    tabs = tabList(byId("tabs"), tabsOf(model, totals, places, windowRows), showTable);
    search.look();
  }

  function showTable(tab) {
    const { thing, ...table } = tab.table();
    const whole = (found) =>
      found.group === "segment" && found.task === undefined
        ? { ...found, task: taskOfSegment(state.model, found.at) }
        : found;
    byId("table-panel").setAttribute("aria-labelledby", `tab-${tab.id}`);
    byId("table-panel").replaceChildren(
      sortedTable({
        ...table,
        chosen: (item) => {
          choose(whole(thing(item)));
          const about = describe(state.model, state.chosen);
          state.view.reveal(about.begin, about.end);
        },
      }).node,
    );
  }

  // After a change of the view: once it rests, say where it is, and write the text table again.
  function changed() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (state.model === null) return;
      const left = timeline.statistics.arrowsLeft;
      byId("status").textContent =
        `Shown: ${windowText(state.view)} of ${duration(state.model.duration)}, ${counted(state.lanes.rows.length, "lane")}.` +
        (left ? " Some arrows are left out: zoom in to see all." : "");
      if (tabs?.chosen().live === true) showTable(tabs.chosen());
    }, SETTLED);
  }

  function choose(thing) {
    timeline.choose(thing);
    showDetails(state.model, thing, theme.palette(), { choose, close, zoom: state.view.show });
  }

  function close() {
    byId("details").hidden = true;
    if (state.model !== null) timeline.choose(null);
  }

  function focusDetails() {
    byId("details-title")?.focus();
  }

  function zoomToChosen() {
    if (state.chosen === null) return;
    const about = describe(state.model, state.chosen);
    state.view.show(about.begin, about.end);
  }

  function nextBar(by) {
    const { model, lanes, chosen } = state;
    const task = chosen?.task >= 0 ? chosen.task : lanes.rows[state.row];
    const [first, last] = [model.segments.start[task], model.segments.start[task + 1]];
    if (first === last) return;
    const at = chosen?.group === "segment" ? chosen.at + by : by > 0 ? first : last - 1;
    const within = Math.min(Math.max(at, first), last - 1);
    choose({ group: "segment", task, at: within });
    state.view.reveal(model.segments.begin[within], model.segments.end[within]);
  }

  function nextLane(by) {
    state.row = Math.min(Math.max(state.row + by, 0), state.lanes.rows.length - 1);
    timeline.focusRow(state.row);
  }

  function closeOrOpenAll() {
    const { lanes } = state;
    if (lanes.closed.includes(1)) lanes.openAll();
    else lanes.closeAll();
    timeline.lanesChanged();
  }

  function toggleActive() {
    state.onlyActive = !state.onlyActive;
    byId("active").setAttribute("aria-pressed", String(state.onlyActive));
    if (!state.onlyActive) state.lanes.only();
    if (state.chosen?.task >= 0) timeline.revealTask(state.chosen.task);
    timeline.lanesChanged();
  }

  function toggleTables() {
    byId("tables").hidden = !byId("tables").hidden;
    byId("show-tables").setAttribute("aria-pressed", String(!byId("tables").hidden));
  }

  function toggleArrows() {
    state.allArrows = !state.allArrows;
    byId("arrows").setAttribute("aria-pressed", String(state.allArrows));
    timeline.invalidate();
    changed();
  }

  const search = listenToSearch({
    model: () => state.model,
    found: (tasks) => {
      state.found = tasks;
      timeline.markNames();
    },
    go: (task) => choose({ group: "task", task }),
  });
  const help = () => (byId("help").open ? byId("help").close() : byId("help").showModal());
  const ifOpen =
    (deed) =>
    (...values) => {
      if (state.model !== null) deed(...values);
    };
  const deeds = {
    pan: ifOpen((part) => state.view.pan(part * state.view.width)),
    zoom: ifOpen((factor) => state.view.zoom(factor)),
    fit: ifOpen(() => state.view.fit()),
    zoomToChosen: ifOpen(zoomToChosen),
    arrows: ifOpen(toggleArrows),
    active: ifOpen(toggleActive),
    tables: toggleTables,
    theme: theme.next,
    closeOrOpenAll: ifOpen(closeOrOpenAll),
    legend: () => {
      byId("legend-box").open = !byId("legend-box").open;
    },
    lane: ifOpen(nextLane),
    bar: ifOpen(nextBar),
    help,
    search: () => byId("search").focus(),
    escape: () => (byId("help").open ? byId("help").close() : close()),
    details: ifOpen(() => {
      if (state.chosen === null) choose({ group: "task", task: state.lanes.rows[state.row] });
      focusDetails();
    }),
  };
  listenToKeys(deeds);
  fillHelp(byId("help-keys"));
  const onClick = {
    "zoom-in": () => deeds.zoom(1 / 1.5),
    "zoom-out": () => deeds.zoom(1.5),
    fit: deeds.fit,
    arrows: deeds.arrows,
    "show-help": help,
    branches: deeds.closeOrOpenAll,
    active: deeds.active,
    "show-tables": deeds.tables,
    "close-help": help,
  };
  for (const [id, deed] of Object.entries(onClick)) byId(id).addEventListener("click", deed);
  listenToFiles(open, (problem) => {
    byId("problems").replaceChildren(element("p", {}, problem));
    byId("problems").hidden = false;
  });
  theme.apply();
  open(byId("maypole-trace")?.textContent ?? "");
  // For those who look behind the page, and for its tests.
  globalThis.maypoleTimeline = {
    state,
    statistics: timeline.statistics,
    open,
    looks: () => STATES.map(lookOf),
  };
}

document.addEventListener("DOMContentLoaded", start);
