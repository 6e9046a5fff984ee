// A table of any number of rows that holds only those in sight: a pool of row elements is moved and filled anew as one scrolls.
//
// It is a grid for screen readers, with its true number of rows. By keyboard: arrows, Page Up and Down, Home and End move, Enter opens; the headers are
// buttons that sort.

import { h, text } from "./dom.js";

const ROW_PX = 32;
const SPARE = 6;

/**
 * `columns` are { key, name, width, number, wide, cell() -> element, set(element, row), sortable }; `rows()` gives the row ids in order.
 * A row's cells are made once for each pooled element and then only set.
 */
export function virtualTable({ label, columns, onOpen, onSort, rowName, height = "26rem" }) {
  let rows = [], current = -1, asked = 0, bodyHeight = 0, sort = null;
  const pool = [];
  const heads = columns.map((column) => h(`div${column.number ? ".number" : ""}${column.wide ? ".wide-only" : ""}`, { role: "columnheader" },
    column.sortable === false ? column.name : h("button", { type: "button", onclick: () => onSort(column.key) }, column.name)));
  const head = h("div.grid-head", { role: "row", "aria-rowindex": "1" }, heads);
  const space = h("div.grid-space", { role: "presentation" });
  const body = h("div.grid-body", { role: "rowgroup", tabindex: "0", "aria-label": `${label}: rows` }, space);
  const element = h("div.grid", { role: "grid", "aria-label": label, "aria-colcount": columns.length }, h("div", { role: "rowgroup" }, head), body);
  body.style.maxHeight = height;
  const narrow = matchMedia("(max-width: 52rem)");
  const shape = () => element.style.setProperty("--columns", columns.filter((column) => !(narrow.matches && column.wide)).map((column) => column.width).join(" "));
  shape();
  narrow.addEventListener("change", shape);
  const observer = new ResizeObserver(([entry]) => {
    bodyHeight = entry.contentRect.height;
    draw();
  });
  observer.observe(body);
  let scrollTop = 0;
  body.addEventListener("scroll", () => {
    scrollTop = body.scrollTop;
    draw();
  }, { passive: true });

  function draw() {
    if (!asked) asked = requestAnimationFrame(now);
  }

  function now() {
    asked = 0;
    const total = rows.length * ROW_PX;
    if (space.dataset.px !== String(total)) {
      space.dataset.px = String(total);
      space.style.height = `${total}px`;
      // Strict containment gives it no height of its own: as high as its rows are, up to the most.
      body.style.height = `${total + 1}px`;
    }
    const first = Math.max(0, Math.floor(scrollTop / ROW_PX) - SPARE);
    const last = Math.min(rows.length, Math.ceil((scrollTop + bodyHeight) / ROW_PX) + SPARE);
    while (pool.length < last - first) pool.push(makeRow());
    pool.forEach((slot, index) => {
      // A slot keeps its place modulo the pool, so that scrolling by one row fills one row.
      const at = first + ((index - (first % pool.length) + pool.length) % pool.length);
      if (at >= last) {
        if (!slot.element.hidden) slot.element.hidden = true;
        slot.at = -1;
        return;
      }
      place(slot, at);
    });
  }

  function place(slot, at) {
    const id = rows[at];
    if (slot.at !== at) {
      slot.at = at;
      slot.element.style.transform = `translateY(${at * ROW_PX}px)`;
      slot.element.setAttribute("aria-rowindex", String(at + 2));
      slot.element.id = `row-${at}`;
    }
    if (slot.element.hidden) slot.element.hidden = false;
    slot.element.classList.toggle("current", at === current);
    columns.forEach((column, index) => column.set(slot.cells[index], id));
  }

  function makeRow() {
    const cells = columns.map((column) => h(`div${column.number ? ".number" : ""}${column.wide ? ".wide-only" : ""}`, { role: "gridcell" }, column.cell?.()));
    const slot = { element: h("div.grid-row", { role: "row" }, cells), cells, at: -1 };
    slot.element.addEventListener("click", () => {
      if (slot.at >= 0) onOpen(rows[slot.at]);
    });
    body.append(slot.element);
    return slot;
  }

  function go(at) {
    current = Math.max(0, Math.min(rows.length - 1, at));
    const top = current * ROW_PX;
    if (top < body.scrollTop) body.scrollTop = top;
    else if (top + ROW_PX > body.scrollTop + bodyHeight) body.scrollTop = top + ROW_PX - bodyHeight;
    scrollTop = body.scrollTop;
    now();
    body.setAttribute("aria-activedescendant", `row-${current}`);
  }

  body.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(bodyHeight / ROW_PX) - 1);
    const to = {
      ArrowDown: current + 1, ArrowUp: current - 1, PageDown: current + page, PageUp: current - page, Home: 0, End: rows.length - 1,
    }[event.key];
    if (to !== undefined && rows.length) go(to);
    else if (event.key === "Enter" && current >= 0) onOpen(rows[current]);
    else return;
    event.preventDefault();
  });

  return {
    element,
    /** Show these rows, sorted so: { key, descending }. What is chosen stays chosen. */
    set(next, by) {
      const chosen = current >= 0 ? rows[current] : undefined;
      rows = next;
      current = chosen === undefined ? -1 : rows.indexOf(chosen);
      element.setAttribute("aria-rowcount", String(rows.length + 1));
      if (by && (sort?.key !== by.key || sort?.descending !== by.descending)) {
        sort = by;
        columns.forEach((column, index) => {
          if (column.sortable === false) return;
          heads[index].setAttribute("aria-sort", column.key !== by.key ? "none" : by.descending ? "descending" : "ascending");
        });
      }
      draw();
    },
    /** The values of rows in sight may have changed. */
    update: draw,
    close() {
      cancelAnimationFrame(asked);
      observer.disconnect();
      narrow.removeEventListener("change", shape);
    },
    rowName,
  };
}

/** A cell that holds a text. */
export const textCell = (value) => ({ set: (cell, row) => text(cell, value(row)) });
