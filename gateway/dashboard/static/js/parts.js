// Parts that several pages share: a panel, what stands there while nothing does, and buttons that work once.

import { Problem } from "./api.js";
import { fill, h, text } from "./dom.js";

/** A panel with a heading; `note` is a small text at its right. */
export function panel(title, { note = "", more = null, level = 2, width = "" } = {}, ...content) {
  const noteElement = h("span", {}, note);
  const element = h(`section.panel${width ? `.${width}` : ""}`, { "aria-label": title },
    h("div.panel-head", {}, h(`h${level}`, {}, title), note !== null && noteElement, more), ...content);
  element.note = (value) => text(noteElement, value);
  return element;
}

/** Nothing yet, and what to do about it. */
export const blank = (title, ...words) => h("div.blank", {}, h("strong", {}, title), words.map((each) => (typeof each === "string" ? h("p", {}, each) : each)));

/** Grey bones while one waits. */
export const bones = (lines = 4) => h("div.bones", { role: "status", "aria-label": "Loading" }, Array.from({ length: lines }, () => h("i")));

/** What went wrong, in the gateway's own words, and a way to try again. */
export function trouble(error, retry) {
  const known = error instanceof Problem;
  return h("div.problem", { role: "alert" },
    h("strong", {}, known ? error.title : "This page failed"),
    h("span", {}, error.message, known && error.limit && !error.message.includes(error.limit) ? ` (${[error.field, error.limit].filter(Boolean).join(": ")})` : ""),
    known && error.request && h("div.faint", {}, `request ${error.request}`),
    retry && h("div.buttons", {}, h("button.button.plain", { type: "button", onclick: retry }, "Try again")));
}

/** Fill `element` with what `ask` brings: bones first, then `show(answer)` or the trouble. Resolves to the answer, or null. */
export async function load(element, ask, show, lines = 4) {
  if (!element.childElementCount) fill(element, bones(lines));
  element.setAttribute("aria-busy", "true");
  try {
    const answer = await ask();
    const shown = show(answer);
    if (shown) fill(element, shown);
    return answer;
  } catch (error) {
    if (error.name === "AbortError") return null;
    fill(element, trouble(error, () => {
      fill(element);
      load(element, ask, show, lines);
    }));
    if (!(error instanceof Problem)) console.error(error);
    return null;
  } finally {
    element.removeAttribute("aria-busy");
  }
}

/** A button whose work may take a while: it says so, and cannot be pressed twice. */
export function action(label, work, { kind = "", busy = "Working…" } = {}) {
  const button = h(`button.button${kind ? `.${kind}` : ""}`, { type: "button" }, label);
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    text(button, busy);
    try {
      await work();
    } finally {
      button.removeAttribute("aria-disabled");
      text(button, label);
    }
  });
  return button;
}

/** A text with a button that copies it. */
export function copyable(value, what, announce) {
  const button = h("button.button.plain", { type: "button", "aria-label": `Copy ${what}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(value);
      text(button, "Copied");
      announce(`${what} copied`);
    } catch {
      text(button, "Select and copy it by hand");
    }
    setTimeout(() => text(button, "Copy"), 2000);
  });
  return button;
}

/** Hand a file to the person. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** A place where one drops a file, or chooses one by keyboard. */
export function dropZone({ label, hint, accept, onFile, name }) {
  const input = h("input", { type: "file", accept, id: `f-${name}`, name });
  const element = h("div.drop", {}, h("label", { for: `f-${name}` }, h("strong", {}, label)), hint && h("span.quiet", {}, hint), input);
  const over = (on) => (event) => {
    event.preventDefault();
    element.classList.toggle("over", on);
  };
  element.addEventListener("dragover", over(true));
  element.addEventListener("dragleave", over(false));
  element.addEventListener("drop", (event) => {
    over(false)(event);
    const [file] = event.dataTransfer.files;
    if (file) onFile(file);
  });
  input.addEventListener("change", () => {
    const [file] = input.files;
    if (file) onFile(file);
  });
  return element;
}

/** Facts as names and values; empty values are left out. */
export function facts(pairs) {
  return h("dl.facts", {}, pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined)
    .map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}
