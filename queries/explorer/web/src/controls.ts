import { Failure } from "./backend.ts";
import { type Child, h } from "./dom.ts";
import { headName } from "./numbers.ts";

export interface Option {
  value: string;
  text: string;
  title?: string;
  /** it cannot be chosen */
  off?: boolean;
}

/** segments returns a row of links, one of which is current: a choice in which each option has an address. */
export function segments(label: string, options: Option[], value: string, href: (value: string) => string): HTMLElement {
  return h(
    "div",
    { class: "segments", role: "group", "aria-label": label },
    options.map((o) =>
      h("a", { href: o.off ? undefined : href(o.value), role: o.off ? "link" : undefined, "aria-disabled": o.off ? "true" : undefined, id: id(label, o.value), title: o.title, "aria-current": o.value === value ? "true" : undefined }, o.text),
    ),
  );
}

/** choice returns a labelled drop-down list. A value that is none of the options, as a wrong address may have, is shown too. */
export function choice(label: string, options: Option[], value: string, change: (value: string) => void): HTMLElement {
  if (value && !options.some((o) => o.value === value)) options = [{ value, text: headName(value) }, ...options];
  const select = h(
    "select",
    { id: id(label), onchange: (e: Event) => change((e.target as HTMLSelectElement).value) },
    options.map((o) => h("option", { value: o.value, selected: o.value === value, title: o.title }, o.text)),
  );
  return h("label", { class: "choice" }, h("span", {}, label), select);
}

/** id makes an element id from names, so that a control keeps the focus when its view is drawn again. */
export function id(...names: string[]): string {
  return `c-${names.join("-").replace(/[^\w-]+/g, "_")}`;
}

/** heading returns the title of a view and the text about it. */
export function heading(title: Child, lead: Child): HTMLElement {
  return h("div", { class: "heading" }, h("h1", { id: "title", tabindex: "-1" }, title), h("p", { class: "lead" }, lead));
}

/** failed shows an error. Below its first line is SQL with a mark under the fault. */
export function failed(e: unknown, title?: Child): HTMLElement {
  const [message = "", ...below] = (e instanceof Error ? e.message : String(e)).split("\n");
  const quoted = below.join("\n").replace(/^\s*\n/, "").trimEnd();
  const hint = e instanceof Failure ? e.hint : "";
  return h("div", { class: "failure", role: "alert" }, title, h("p", {}, message), quoted && h("pre", { tabindex: "0" }, quoted), hint && h("p", { class: "hint" }, hint));
}

/** lacking shows what a run lacks and the command that adds it. */
export function lacking(text: string): HTMLElement {
  const parts = text.replace(/^no rows: /, "").split(/(ducklens \w+(?: --[\w-]+(?: [\w:.]+)?| [A-Z]+)*)/);
  return h("p", { class: "lacking" }, parts.map((part, i) => (i % 2 === 1 ? h("code", {}, part) : part)));
}
