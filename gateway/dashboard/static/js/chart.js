// Small line charts on canvas: one axis of time, one of value, few words.
//
// A chart draws when it is told of new points, when its size or the theme changes, and never more than once a frame. For those who do not see
// it, its label says the newest, least and greatest value of each line; the numbers that matter stand as text beside it anyway.

import { h, fill } from "./dom.js";
import { time } from "./format.js";

const charts = new Set();
const PAD = { top: 8, right: 8, bottom: 18 };
const FONT_PX = 10.5;

/** Theme colours are read from CSS, once until the theme changes. */
const palette = new Map();
export function colour(name) {
  if (!palette.has(name)) {
    // A custom property with light-dark() is only resolved where it is used as a colour.
    const probe = h("i", { hidden: true });
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    palette.set(name, getComputedStyle(probe).color);
    probe.remove();
  }
  return palette.get(name);
}

export function themeChanged() {
  palette.clear();
  for (const chart of charts) chart.draw();
}

/** Round steps, 1, 2 or 5 times a power of ten, of which `most` fit below `top`. */
export function ticks(top, most = 3) {
  if (!(top > 0)) return [0, 1];
  const raw = top / most, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw - power * 1e-9);
  const out = [];
  for (let at = 0; out.length === 0 || out.at(-1) < top; at += 1) out.push(at * step);
  return out;
}

/** A canvas that fits its box on any screen; `paint(context, width, height)` in CSS pixels. */
export class Canvas {
  constructor(paint, attributes = {}) {
    this.element = h("canvas", attributes);
    this._paint = paint;
    this._asked = 0;
    this._width = 0;
    this._height = 0;
    this._observer = new ResizeObserver(([entry]) => {
      this._width = entry.contentRect.width;
      this._height = entry.contentRect.height;
      this.draw();
    });
    this._observer.observe(this.element);
    charts.add(this);
  }

  draw() {
    if (!this._asked) this._asked = requestAnimationFrame(() => this._now());
  }

  close() {
    this._observer.disconnect();
    charts.delete(this);
    cancelAnimationFrame(this._asked);
  }

  _now() {
    this._asked = 0;
    const { element, _width: width, _height: height } = this;
    if (!width || !height) return;
    const scale = devicePixelRatio || 1;
    const wide = Math.round(width * scale), high = Math.round(height * scale);
    if (element.width !== wide || element.height !== high) {
      element.width = wide;
      element.height = high;
    }
    const context = element.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    this._paint(context, width, height);
  }
}

/** Pieces of a line between the points that have no value. */
function pieces(points) {
  const out = [];
  let piece = null;
  for (const point of points) {
    if (!Number.isFinite(point[1])) piece = null;
    else if (piece) piece.push(point);
    else out.push(piece = [point]);
  }
  return out;
}

/** A line, and where wanted the area below it, or the band from least to most. A point between two holes is a dot. */
function trace(context, points, { x, y, tone, width, area, band, floor }) {
  context.strokeStyle = context.fillStyle = tone;
  context.lineWidth = width;
  context.lineJoin = "round";
  for (const piece of pieces(points)) {
    if (band) {
      context.beginPath();
      for (const [at, , , most] of piece) context.lineTo(x(at), y(most));
      for (const [at, , least] of piece.toReversed()) context.lineTo(x(at), y(least));
      context.globalAlpha = 0.2;
      context.fill();
      context.globalAlpha = 1;
    }
    context.beginPath();
    if (piece.length === 1) {
      context.arc(x(piece[0][0]), y(piece[0][1]), width, 0, 7);
      context.fill();
      continue;
    }
    for (const [at, value] of piece) context.lineTo(x(at), y(value));
    context.stroke();
    if (!area) continue;
    context.lineTo(x(piece.at(-1)[0]), floor);
    context.lineTo(x(piece[0][0]), floor);
    context.globalAlpha = 0.1;
    context.fill();
    context.globalAlpha = 1;
  }
}

/** A line without axes, for beside a figure. Points are [ms, value]. */
export function sparkline() {
  let points = [];
  const canvas = new Canvas((context, width, height) => {
    if (points.length < 2) return;
    const first = points[0][0], last = points.at(-1)[0];
    const top = Math.max(...points.map(([, value]) => value || 0), 1e-9);
    const x = (at) => ((at - first) / (last - first || 1)) * (width - 2) + 1;
    const y = (value) => height - 2 - (value / top) * (height - 4);
    trace(context, points, { x, y, tone: colour("--line-1"), width: 1.25, area: true, floor: height });
  }, { "aria-hidden": "true" });
  return {
    element: canvas.element,
    set(next) {
      points = next;
      canvas.draw();
    },
    close: () => canvas.close(),
  };
}

/**
 * A chart of a few lines: `lines` are { name, tone (1 to 4), area, band }, `format` makes a value's text.
 * `set(series, [from, to])` takes points [ms, value] for each line, of one with a band [ms, value, least, most].
 */
export function lineChart({ title, lines, format, small = false, top: least = 0 }) {
  let series = lines.map(() => []), range = [0, 1], hover = null, geometry = null;
  const tip = h("div.chart-tip", { hidden: true, "aria-hidden": "true" });
  const canvas = new Canvas(paint, { role: "img", "aria-label": title });
  const element = h(`div.chart${small ? ".small" : ""}`, {}, canvas.element, tip);

  function paint(context, width, height) {
    const [from, to] = range;
    let greatest = least;
    for (const points of series) for (const [, value, , most = value] of points) if (most > greatest) greatest = most;
    const marks = ticks(greatest || 1, small ? 2 : 3), top = marks.at(-1);
    context.font = `${FONT_PX}px ${getComputedStyle(document.body).fontFamily}`;
    const left = Math.ceil(Math.max(28, ...marks.map((mark) => context.measureText(format(mark)).width))) + 8;
    const x = (at) => left + ((at - from) / (to - from || 1)) * (width - left - PAD.right);
    const y = (value) => height - PAD.bottom - (value / top) * (height - PAD.top - PAD.bottom);
    geometry = { x, y, from, to, width, left };
    axes(context, width, height, marks, left, y);
    series.forEach((points, at) => {
      const line = lines[at];
      trace(context, points, { x, y, tone: colour(`--line-${line.tone}`), width: 1.5, area: line.area, band: line.band, floor: y(0) });
    });
    if (hover !== null) cross(context, height);
  }

  function axes(context, width, height, marks, left, y) {
    context.textBaseline = "middle";
    context.textAlign = "right";
    context.lineWidth = 1;
    for (const mark of marks) {
      context.strokeStyle = colour("--line");
      context.beginPath();
      context.moveTo(left, Math.round(y(mark)) + 0.5);
      context.lineTo(width - PAD.right, Math.round(y(mark)) + 0.5);
      context.stroke();
      context.fillStyle = colour("--ink-3");
      context.fillText(format(mark), left - 7, y(mark));
    }
    const [from, to] = range;
    context.textBaseline = "alphabetic";
    context.textAlign = "left";
    context.fillText(time(from), left, height - 4);
    context.textAlign = "right";
    context.fillText(time(to), width - PAD.right, height - 4);
  }

  function cross(context, height) {
    const at = nearest(series[0], hover);
    if (at === null) return;
    const { x, y, width } = geometry, px = x(at);
    context.strokeStyle = colour("--line-strong");
    context.beginPath();
    context.moveTo(Math.round(px) + 0.5, PAD.top);
    context.lineTo(Math.round(px) + 0.5, height - PAD.bottom);
    context.stroke();
    const rows = lines.map((line, index) => {
      const point = series[index].find(([when]) => when === at);
      if (!point || !Number.isFinite(point[1])) return null;
      context.fillStyle = colour(`--line-${line.tone}`);
      context.beginPath();
      context.arc(px, y(point[1]), 3, 0, 7);
      context.fill();
      return h(`span.key.k${line.tone}`, {}, `${line.name} ${format(point[1])}`);
    });
    fill(tip, h("span.faint", {}, time(at)), rows);
    const flip = px > width * 0.6;
    tip.style.transform = `translate(${flip ? `calc(${px - 10}px - 100%)` : `${px + 10}px`}, ${PAD.top}px)`;
    tip.hidden = false;
  }

  function over(event) {
    if (!geometry) return;
    const { from, to, width, left } = geometry, box = canvas.element.getBoundingClientRect();
    hover = from + ((event.clientX - box.left - left) / (width - left - PAD.right)) * (to - from);
    canvas.draw();
  }

  element.addEventListener("pointermove", over);
  element.addEventListener("pointerleave", () => {
    hover = null;
    tip.hidden = true;
    canvas.draw();
  });

  return {
    element,
    set(next, nextRange) {
      series = next;
      range = nextRange;
      canvas.element.setAttribute("aria-label", `${title}. ${lines.map((line, at) => said(line.name, series[at], format)).join("; ")}`);
      canvas.draw();
    },
    close: () => canvas.close(),
  };
}

function nearest(points, at) {
  let best = null;
  for (const [when] of points) if (best === null || Math.abs(when - at) < Math.abs(best - at)) best = when;
  return best;
}

function said(name, points, format) {
  const known = points.filter(([, value]) => Number.isFinite(value));
  if (!known.length) return `${name}: no data yet`;
  const least = Math.min(...known.map(([, value, low = value]) => low)), most = Math.max(...known.map(([, value, , high = value]) => high));
  return `${name}: now ${format(known.at(-1)[1])}, least ${format(least)}, greatest ${format(most)}`;
}
