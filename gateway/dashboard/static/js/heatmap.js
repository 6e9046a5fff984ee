// Ten thousand nodes at a glance: one cell for each, its score as depth of colour, its state as a colour of its own where it is not healthy.
//
// Only cells that changed are painted again. By keyboard and screen reader it is a slider over the nodes: arrows move, its value says which node and
// how it is, Enter opens it.

import { h, text } from "./dom.js";
import { Canvas, colour } from "./chart.js";
import { NODE_STATES, nodeTone } from "./states.js";

const LEVELS = 16;
const MOST_CELL = 26;
const LEAST_CELL = 4;

/** Columns, rows and cell size (CSS pixels) with which `count` cells fill `width` and keep to `height`. */
export function layout(count, width, height) {
  if (!count || !width) return { columns: 1, rows: 0, cell: LEAST_CELL };
  const cell = Math.max(LEAST_CELL, Math.min(MOST_CELL, Math.floor(Math.sqrt((width * height) / count))));
  const columns = Math.max(1, Math.floor(width / cell));
  return { columns, rows: Math.ceil(count / columns), cell };
}

export function heatMap({ nodes, onOpen, label, height = 230 }) {
  let place = layout(0, 0, 0), cursor = -1, hovered = -1, shades = null, whole = true, paintedShape = -1, lastWidth = 0;
  const canvas = new Canvas(paint, {
    role: "slider", tabindex: "0", "aria-label": label, "aria-valuemin": "1", "aria-valuemax": "1", "aria-valuenow": "1", "aria-valuetext": "no node chosen",
  });
  // What was painted stays: the base class clears for charts, here only what changed is touched.
  canvas._now = now;
  const tip = h("div.chart-tip", { hidden: true, "aria-hidden": "true" });
  const element = h("div.heat", {}, canvas.element, tip);

  function now() {
    canvas._asked = 0;
    const width = canvas.element.clientWidth;
    if (!width) return;
    if (paintedShape !== nodes.shape || width !== lastWidth || whole) resize(width);
    paint(canvas.element.getContext("2d"));
  }

  function resize(width) {
    place = layout(nodes.length, width, height);
    const scale = devicePixelRatio || 1, high = Math.max(place.rows, 1) * place.cell;
    canvas.element.style.height = `${high}px`;
    canvas.element.width = Math.round(width * scale);
    canvas.element.height = Math.round(high * scale);
    canvas.element.getContext("2d").setTransform(scale, 0, 0, scale, 0, 0);
    canvas.element.setAttribute("aria-valuemax", String(Math.max(1, nodes.length)));
    paintedShape = nodes.shape;
    lastWidth = width;
    whole = true;
  }

  function paint(context) {
    shades ??= makeShades();
    if (whole) {
      nodes.takeChanged();
      for (let row = 0; row < nodes.length; row += 1) cellAt(context, row);
      whole = false;
    } else {
      for (const row of nodes.takeChanged()) cellAt(context, row);
    }
    mark(context, hovered);
    mark(context, cursor);
  }

  function shade(row) {
    const state = nodes.state[row];
    if (state !== 0) return shades.states[state];
    return shades.heat[Math.min(LEVELS - 1, Math.floor(nodes.score(row) * LEVELS))];
  }

  function cellAt(context, row) {
    const { columns, cell } = place, gap = cell >= 6 ? 1 : 0.5;
    const x = (row % columns) * cell, y = Math.floor(row / columns) * cell;
    context.clearRect(x, y, cell, cell);
    context.fillStyle = shade(row);
    context.fillRect(x, y, cell - gap, cell - gap);
  }

  function mark(context, row) {
    if (row < 0 || row >= nodes.length) return;
    const { columns, cell } = place;
    context.strokeStyle = colour("--ink");
    context.lineWidth = 1.5;
    context.strokeRect((row % columns) * cell + 0.75, Math.floor(row / columns) * cell + 0.75, cell - 2, cell - 2);
  }

  function unmark(row) {
    if (row >= 0) nodes.changed.add(row);
  }

  function at(event) {
    const box = canvas.element.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / place.cell), line = Math.floor((event.clientY - box.top) / place.cell);
    const row = line * place.columns + column;
    return column >= 0 && column < place.columns && row >= 0 && row < nodes.length ? row : -1;
  }

  function show(row, x, y) {
    unmark(hovered);
    hovered = row;
    tip.hidden = row < 0;
    if (row >= 0) {
      text(tip, words(nodes, row));
      const flip = x > lastWidth * 0.6;
      tip.style.transform = `translate(${flip ? `calc(${x - 10}px - 100%)` : `${x + 12}px`}, ${y + 12}px)`;
    }
    canvas.draw();
  }

  function go(row) {
    unmark(cursor);
    cursor = Math.max(0, Math.min(nodes.length - 1, row));
    canvas.element.setAttribute("aria-valuenow", String(cursor + 1));
    canvas.element.setAttribute("aria-valuetext", words(nodes, cursor));
    const { columns, cell } = place;
    show(cursor, (cursor % columns) * cell, Math.floor(cursor / columns) * cell);
  }

  function key(event) {
    if (!nodes.length) return;
    const from = Math.max(0, cursor), page = place.columns * 5;
    const to = {
      ArrowRight: from + (cursor >= 0 ? 1 : 0), ArrowLeft: from - 1, ArrowDown: from + place.columns, ArrowUp: from - place.columns,
      Home: 0, End: nodes.length - 1, PageDown: from + page, PageUp: from - page,
    }[event.key];
    if (to !== undefined) go(to);
    else if (event.key === "Enter" && cursor >= 0) onOpen(nodes.names[cursor]);
    else return;
    event.preventDefault();
  }

  canvas.element.addEventListener("pointermove", (event) => {
    const box = canvas.element.getBoundingClientRect();
    show(at(event), event.clientX - box.left, event.clientY - box.top);
  });
  canvas.element.addEventListener("pointerleave", () => show(-1));
  canvas.element.addEventListener("click", (event) => {
    const row = at(event);
    if (row >= 0) onOpen(nodes.names[row]);
  });
  canvas.element.addEventListener("keydown", key);
  canvas.element.addEventListener("blur", () => show(-1));
  const themed = () => {
    shades = null;
    whole = true;
    canvas.draw();
  };
  document.documentElement.addEventListener("themechange", themed);

  return {
    element,
    /** Paint what changed. */
    update: () => canvas.draw(),
    close() {
      document.documentElement.removeEventListener("themechange", themed);
      canvas.close();
    },
  };
}

function words(nodes, row) {
  return `${nodes.names[row]}: ${nodes.stateName(row)}, score ${nodes.score(row).toFixed(2)}`;
}

/** The colours of the levels between the two ends of the scale, and of the states. */
function makeShades() {
  const [low, high] = [rgb(colour("--heat-0")), rgb(colour("--heat-1"))];
  const heat = Array.from({ length: LEVELS }, (_, level) => {
    const part = level / (LEVELS - 1);
    return `rgb(${low.map((value, at) => Math.round(value + (high[at] - value) * part)).join(" ")})`;
  });
  return { heat, states: NODE_STATES.map((state) => colour(`--${nodeTone(state)}`)) };
}

const rgb = (css) => css.match(/[\d.]+/g).slice(0, 3).map(Number);
