// Charts of the answer to any question. Saved queries have figures of their own, which ducklens plot draws.

import type { Answer, SavedQuery } from "./backend.ts";
import { bars } from "./bars.ts";
import { choice } from "./controls.ts";
import { h } from "./dom.ts";
import { histogram } from "./histogram.ts";
import { scatter } from "./scatter.ts";

const mostBars = 60;
const mostPoints = 5000;

/** chart draws the columns that the user chooses. */
export function chart(answer: Answer, query: SavedQuery | undefined): HTMLElement[] {
  const numbers = answer.columns.flatMap((c, i) => (["integer", "float", "exact"].includes(c.type) ? [{ name: c.name, i }] : []));
  const words = answer.columns.flatMap((c, i) => (["text", "bool", "integer"].includes(c.type) ? [{ name: c.name, i }] : []));
  if (numbers.length === 0 || answer.rows.length < 2) return [];
  const header = (key: string) => query?.sql.match(new RegExp(`^-- ${key}: (.*)$`, "m"))?.[1];
  const kinds = ["bars", "scatter", "histogram"];
  const preferred = numbers.find((n) => n.name === (header("fill") ?? header("y") ?? header("x"))) ?? numbers.find((n) => /^(mean|value|diff|pct|score)/.test(n.name)) ?? numbers.find((n) => !/(_id|^n|row|column|pos)$/.test(n.name)) ?? numbers[0];
  const chosen = {
    kind: { bar: "bars", scatter: "scatter", histogram: "histogram" }[query?.chart ?? ""] ?? "bars",
    y: preferred?.name ?? "",
    x: numbers.find((n) => n !== preferred)?.name ?? preferred?.name ?? "",
    label: (words.find((w) => w.name === (header("label") ?? "")) ?? words[0])?.name ?? "",
  };
  const drawing = h("div", { class: "chart" });
  const column = (name: string) => answer.columns.findIndex((c) => c.name === name);
  const number = (row: unknown[], name: string) => (typeof row[column(name)] === "number" ? (row[column(name)] as number) : undefined);
  const draw = () => {
    const rows = answer.rows;
    const label = (row: unknown[]) => (column(chosen.label) < 0 ? "" : String(row[column(chosen.label)] ?? ""));
    const error = answer.columns.some((c) => c.name === `se_${chosen.y.replace(/^mean_/, "")}`) ? `se_${chosen.y.replace(/^mean_/, "")}` : "se";
    let element: HTMLElement;
    if (chosen.kind === "histogram") {
      element = histogram(rows.flatMap((row) => number(row, chosen.y) ?? []), { label: chosen.y, title: chosen.y, unit: "rows" });
    } else if (chosen.kind === "scatter") {
      const points = rows.slice(0, mostPoints).flatMap((row) => {
        const [x, y] = [number(row, chosen.x), number(row, chosen.y)];
        return x === undefined || y === undefined ? [] : [{ x, y, name: label(row), title: `${label(row)}: ${x}, ${y}` }];
      });
      element = scatter(points, { label: "Scatter of the answer", x: chosen.x, y: chosen.y });
    } else {
      element = bars(
        rows.slice(0, mostBars).flatMap((row) => {
          const value = number(row, chosen.y);
          return value === undefined ? [] : [{ name: label(row), value, se: number(row, error) ?? null }];
        }),
        { label: "Bars of the answer", heads: [chosen.label, chosen.y] },
      );
    }
    const cut = chosen.kind === "bars" ? mostBars : chosen.kind === "scatter" ? mostPoints : rows.length;
    drawing.replaceChildren(element, rows.length > cut ? h("p", { class: "muted" }, `The first ${cut} of ${rows.length} rows.`) : "");
    across.hidden = chosen.kind !== "scatter";
    labels.hidden = chosen.kind === "histogram";
  };
  const set = (key: keyof typeof chosen) => (value: string) => {
    chosen[key] = value;
    draw();
  };
  const options = (list: { name: string }[]) => list.map((c) => ({ value: c.name, text: c.name }));
  const across = choice("Across", options(numbers), chosen.x, set("x"));
  const labels = choice("Label", options(words), chosen.label, set("label"));
  draw();
  return [
    h("h2", {}, "As a chart"),
    h("div", { class: "tools" }, choice("Draw", kinds.map((value) => ({ value, text: value })), chosen.kind, set("kind")), choice("Value", options(numbers), chosen.y, set("y")), across, words.length > 0 && labels),
    drawing,
  ];
}
