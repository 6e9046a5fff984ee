// Ten thousand nodes at a glance: one cell for each, its score as depth of colour, its state as a colour of its own where it is not healthy.
//
// Cells are pixels of a small picture that is drawn enlarged: ten thousand cost less than a millisecond. By keyboard and screen reader it is a slider over
// the nodes: arrows move, its value says which node and how it is, Enter opens it.

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
  let place = layout(0, 0, 0), cursor = -1, hovered = -1, shades = null, shape = -1, width = 0;
  const small = document.createElement("canvas"), cells = small.getContext("2d");
  let picture = null, pixels = null;
  const canvas = new Canvas(paint, {
    role: "slider", tabindex: "0", "aria-label": label, "aria-valuemin": "1", "aria-valuemax": "1", "aria-valuenow": "1", "aria-valuetext": "no node chosen",
  });
  const tip = h("div.chart-tip", { hidden: true, "aria-hidden": "true" });
  const element = h("div.heat", {}, canvas.element, tip);

  function arrange() {
    shape = nodes.shape;
    place = layout(nodes.length, width, height);
    const { columns, rows, cell } = place;
    small.width = columns;
    small.height = Math.max(rows, 1);
    picture = cells.createImageData(small.width, small.height);
    pixels = new Uint32Array(picture.data.buffer);
    canvas.element.style.height = `${Math.max(rows, 1) * cell}px`;
    canvas.element.setAttribute("aria-valuemax", String(Math.max(1, nodes.length)));
  }

  function paint(context, toWidth) {
    if (shape !== nodes.shape || width !== toWidth) {
      width = toWidth;
      arrange();
    }
    shades ??= makeShades();
    for (let row = 0; row < nodes.length; row += 1) pixels[row] = shade(row);
    cells.putImageData(picture, 0, 0);
    const { columns, rows, cell } = place, gap = cell >= 6 ? 1 : 0.5;
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, columns * cell, rows * cell);
    for (let column = 1; column <= columns; column += 1) context.clearRect(column * cell - gap, 0, gap, rows * cell);
    for (let line = 1; line <= rows; line += 1) context.clearRect(0, line * cell - gap, columns * cell, gap);
    mark(context, hovered);
    mark(context, cursor);
  }

  function shade(row) {
    const state = nodes.state[row];
    return state === 0 ? shades.heat[Math.min(LEVELS - 1, Math.floor(nodes.score(row) * LEVELS))] : shades.states[state];
  }

  function mark(context, row) {
    if (row < 0 || row >= nodes.length) return;
    const { columns, cell } = place;
    context.strokeStyle = colour("--ink");
    context.lineWidth = 1.5;
    context.strokeRect((row % columns) * cell + 0.75, Math.floor(row / columns) * cell + 0.75, cell - 2, cell - 2);
  }

  function at(event) {
    const box = canvas.element.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / place.cell), line = Math.floor((event.clientY - box.top) / place.cell);
    const row = line * place.columns + column;
    return column >= 0 && column < place.columns && row >= 0 && row < nodes.length ? row : -1;
  }

  function show(row, x, y) {
    hovered = row;
    tip.hidden = row < 0;
    if (row >= 0) {
      text(tip, words(nodes, row));
      const flip = x > width * 0.6;
      tip.style.transform = `translate(${flip ? `calc(${x - 10}px - 100%)` : `${x + 12}px`}, ${y + 12}px)`;
    }
    canvas.draw();
  }

  function go(row) {
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
    canvas.draw();
  };
  document.documentElement.addEventListener("themechange", themed);

  return {
    element,
    /** The nodes may have changed. */
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

/** The colours of the levels between the two ends of the scale, and of the states, as the four bytes of a pixel. */
function makeShades() {
  const [low, high] = [rgb(colour("--heat-0")), rgb(colour("--heat-1"))];
  const heat = Array.from({ length: LEVELS }, (_, level) => pixel(low.map((value, at) => value + ((high[at] - value) * level) / (LEVELS - 1))));
  return { heat, states: NODE_STATES.map((state) => pixel(rgb(colour(`--${nodeTone(state)}`)))) };
}

const rgb = (css) => css.match(/[\d.]+/g).slice(0, 3).map(Number);

/** Red, green, blue, opaque, in the order of this machine's bytes. */
const pixel = (parts) => new Uint32Array(Uint8Array.of(...parts.map(Math.round), 255).buffer)[0];
