import type { Answer, Column, Value } from "./backend.ts";
import { h } from "./dom.ts";
import { virtualList } from "./virtuallist.ts";

const rowHeight = 26;
const widest = 44; // characters

/** table shows an answer. Only the visible rows are in the page. */
export function table(answer: Answer): HTMLElement {
  const texts = answer.rows.slice(0, 200).map((row) => row.map((value, i) => text(value, answer.columns[i])));
  const widths = answer.columns.map((c, i) => Math.min(widest, Math.max(c.name.length, 4, ...texts.map((row) => row[i]?.length ?? 0))) + 2);
  const template = widths.map((w) => `${w}ch`).join(" ");
  const isNumber = answer.columns.map((c) => ["integer", "float", "exact"].includes(c.type));
  const line = (cells: (HTMLElement | string)[], role: string) =>
    h("div", { class: "tablerow", role: "row", style: { "grid-template-columns": template } }, cells.map((cell, i) => h("span", { role, class: isNumber[i] ? "number" : "" }, cell)));
  const list = virtualList(answer.rows.length, rowHeight, "Rows", (i) => {
    const row = answer.rows[i] ?? [];
    const element = line(row.map((value, j) => (value === null ? h("span", { class: "muted" }, "NULL") : text(value, answer.columns[j]))), "cell");
    element.classList.add("listitem");
    element.title = row.map((value, j) => `${answer.columns[j]?.name}: ${value === null ? "NULL" : String(value)}`).join("\n");
    return element;
  });
  list.setAttribute("role", "rowgroup");
  list.style.height = `${Math.min(16, answer.rows.length) * rowHeight + 16}px`;
  return h(
    "div",
    { class: "table", role: "table", "aria-label": "Answer", "aria-rowcount": String(answer.rows.length + 1) },
    h("div", { class: "tablehead" }, line(answer.columns.map((c) => h("span", { title: c.db_type ?? c.type }, c.name)), "columnheader")),
    list,
  );
}

// text formats a value as the shell does: floats with seven digits.
function text(value: Value | undefined, column: Column | undefined): string {
  if (value === null || value === undefined) return "NULL";
  if (typeof value === "number" && column?.type === "float") return Number(value.toPrecision(6)).toString().replace("-", "−");
  if (typeof value === "object") return JSON.stringify(value);
  return String(value).replace(/\n/g, "⏎");
}
