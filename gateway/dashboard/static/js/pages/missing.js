// An address that names no page.

import { h } from "../dom.js";
import { blank } from "../parts.js";

export function open() {
  return {
    title: "Not found",
    element: h("div.page", {}, h("h1", {}, "Not found"), blank("There is no page here", "The address may be old, or mistyped.", h("p", {}, h("a.button", { href: "/" }, "To the overview")))),
  };
}
