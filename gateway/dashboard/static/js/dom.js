// Making and changing elements. Text only ever becomes a text node: nothing here parses HTML, so nothing that a task returns can become markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * A new element: `h("a.quiet", { href: "/nodes", onclick: fn }, "Nodes")`.
 * Attributes that are null, undefined or false are left out; `true` is an attribute without a value.
 */
export function h(selector, attributes = {}, ...children) {
  const [tag, ...classes] = selector.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  setAttributes(element, attributes);
  element.append(...flat(children));
  return element;
}

/** The same for SVG. */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  setAttributes(element, attributes);
  element.append(...flat(children));
  return element;
}

function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.setAttribute("class", `${element.getAttribute("class") ?? ""} ${value}`.trim());
    else element.setAttribute(name, value === true ? "" : String(value));
  }
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** Put these in place of all that `element` holds. */
export function fill(element, ...children) {
  element.replaceChildren(...flat(children));
  return element;
}

/** The same, and whoever stood on a link in it, or on a button, stands there again: who goes by keyboard would be thrown to the top of the page. */
export function refill(element, ...children) {
  const stood = element.contains(document.activeElement) ? document.activeElement : null;
  fill(element, ...children);
  if (!stood) return element;
  const here = [...element.querySelectorAll(stood.localName)].find((each) => each.textContent === stood.textContent && each.getAttribute("href") === stood.getAttribute("href"));
  here?.focus({ preventScroll: true });
  return element;
}

/** Change a text only where it differs: a screen reader and the layout are left alone otherwise. */
export function text(element, value) {
  const wanted = String(value);
  if (element.textContent !== wanted) element.textContent = wanted;
}

/** A figure and its unit, the unit set smaller. */
export function figure(element, [value, unit = ""]) {
  const key = `${value} ${unit}`;
  if (element.dataset.shown === key) return;
  element.dataset.shown = key;
  fill(element, value, unit && h("small", {}, unit));
}

/** The share of a bar, 0 to 1. */
export function share(bar, part, tone = "") {
  bar.firstElementChild.style.width = `${Math.max(0, Math.min(1, part)) * 100}%`;
  bar.className = `bar ${tone}`.trim();
}

/** A bar whose meaning stands beside it in words. */
export function bar(part = 0, tone = "") {
  const element = h("div.bar", { "aria-hidden": "true" }, h("i"));
  share(element, part, tone);
  return element;
}

/** What a form field is: label, control, hint, and room for what is wrong with it. */
export function field(label, control, { hint = "", name = control.name } = {}) {
  const id = `f-${name}`;
  control.id = id;
  const wrong = h("p.wrong", { id: `${id}-wrong`, hidden: true });
  const described = [hint && `${id}-hint`, `${id}-wrong`].filter(Boolean).join(" ");
  control.setAttribute("aria-describedby", described);
  const element = h("div.field", { "data-field": name },
    h("label", { for: id }, label), control,
    hint && h("p.hint", { id: `${id}-hint` }, hint), wrong);
  return element;
}

/** Mark fields of a form as wrong, by name, and go to the first; an empty map clears them. Returns whether all names were found. */
export function markWrong(form, problems) {
  let first = null, all = true;
  for (const element of form.querySelectorAll("[data-field]")) {
    const said = problems[element.dataset.field];
    const control = element.querySelector("input, select, textarea"), wrong = element.querySelector(".wrong");
    wrong.hidden = !said;
    text(wrong, said ?? "");
    if (said) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
    if (said && !first) first = control;
  }
  for (const name of Object.keys(problems)) {
    if (!form.querySelector(`[data-field="${CSS.escape(name)}"]`)) all = false;
  }
  first?.focus();
  return all;
}
