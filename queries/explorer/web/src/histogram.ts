import { scaleLinear } from "d3-scale";
import { h, s } from "./dom.ts";
import { short } from "./numbers.ts";

/** A Range of values. An end that is not set is open. */
export interface Range {
  low?: number | undefined;
  high?: number | undefined;
}

export interface HistogramOptions {
  label: string;
  title: string;
  brush?: Range | undefined;
  /** what is counted; by default, prompts */
  unit?: string;
  select?: (range: Range) => void;
}

const width = 560;
const height = 160;
const margin = { left: 38, right: 12, top: 18, bottom: 34 };

/** histogram shows a distribution. The user chooses a range by dragging, or with the two fields. */
export function histogram(values: number[], o: HistogramOptions): HTMLElement {
  const lowest = Math.min(0, ...values.slice(0, 1), values.reduce((a, b) => Math.min(a, b), Infinity));
  const highest = Math.max(0, values.reduce((a, b) => Math.max(a, b), -Infinity));
  const x = scaleLinear([lowest, highest], [margin.left, width - margin.right]).nice(30);
  const edges = x.ticks(30);
  const step = (edges[1] ?? 1) - (edges[0] ?? 0);
  const from = edges[0] ?? 0;
  const counts = new Array<number>(Math.max(1, edges.length - 1)).fill(0);
  for (const v of values) {
    const bin = Math.min(counts.length - 1, Math.max(0, Math.floor((v - from) / step)));
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  const y = scaleLinear([0, Math.max(1, ...counts)], [height - margin.bottom, margin.top]).nice(3);
  const { low = Number.NEGATIVE_INFINITY, high = Number.POSITIVE_INFINITY } = o.brush ?? {};

  const selection = s("rect", { class: "brush", y: margin.top, height: height - margin.top - margin.bottom });
  const place = (from: number, to: number) => {
    selection.setAttribute("x", String(x(from)));
    selection.setAttribute("width", String(Math.max(0, x(to) - x(from))));
  };
  const [left, right] = x.domain() as [number, number];
  if (o.brush) place(Math.max(left, low), Math.min(right, high));
  const svg = s(
    "svg",
    { class: "histogram", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${o.label}: ${values.length} ${o.unit ?? "prompts"} from ${short(lowest)} to ${short(highest)}` },
    y.ticks(3).filter(Number.isInteger).map((t) => [
      s("line", { class: "gridline", x1: margin.left, x2: width - margin.right, y1: y(t), y2: y(t) }),
      s("text", { x: margin.left - 6, y: y(t) + 4, "text-anchor": "end" }, t),
    ]),
    counts.map((n, i) => {
      const bin = from + i * step;
      const inside = bin + step / 2 >= low && bin + step / 2 <= high;
      return (
        n > 0 &&
        s("rect", { class: `${bin + step / 2 < 0 ? "negative" : "positive"}${inside ? "" : " out"}`, x: x(bin) + 0.5, width: Math.max(0.5, x(bin + step) - x(bin) - 1), y: y(n), height: y(0) - y(n) })
      );
    }),
    s("line", { class: "zero", x1: x(0), x2: x(0), y1: margin.top, y2: height - margin.bottom }),
    x.ticks(8).map((t) => s("text", { x: x(t), y: height - margin.bottom + 14, "text-anchor": "middle" }, x.tickFormat(8)(t).replace("-", "−"))),
    s("text", { class: "axistitle", x: (margin.left + width - margin.right) / 2, y: height - 4, "text-anchor": "middle" }, o.title),
    s("text", { x: margin.left - 32, y: 10 }, o.unit ?? "prompts"),
    selection,
  );

  const { select } = o;
  if (!select) return h("figure", { class: "plot" }, svg);

  let start: number | undefined;
  const at = (e: PointerEvent) => {
    const box = svg.getBoundingClientRect();
    const inside = Math.min(width - margin.right, Math.max(margin.left, ((e.clientX - box.left) / box.width) * width));
    return x.invert(inside);
  };
  svg.addEventListener("pointerdown", (e) => {
    start = at(e);
    svg.setPointerCapture(e.pointerId);
  });
  svg.addEventListener("pointermove", (e) => {
    if (start !== undefined) place(Math.min(start, at(e)), Math.max(start, at(e)));
  });
  svg.addEventListener("pointerup", (e) => {
    if (start === undefined) return;
    const [from, to] = [Math.min(start, at(e)), Math.max(start, at(e))];
    start = undefined;
    select(x(to) - x(from) < 3 ? {} : { low: from, high: to });
  });

  const field = (name: string, end: keyof Range) =>
    h(
      "label",
      {},
      name,
      " ",
      h("input", {
        type: "number",
        step: "any",
        id: `brush-${end}`,
        value: o.brush?.[end] === undefined ? undefined : Number(o.brush[end].toPrecision(3)),
        placeholder: end === "low" ? "least" : "largest",
        onchange: (e: Event) => {
          const text = (e.target as HTMLInputElement).value;
          select({ ...o.brush, [end]: text === "" ? undefined : Number(text) });
        },
      }),
    );
  return h(
    "figure",
    { class: "plot" },
    svg,
    h(
      "figcaption",
      { class: "range" },
      "Drag over the figure, or: ",
      field("from", "low"),
      field("to", "high"),
      o.brush && h("button", { type: "button", id: "brush-clear", onclick: () => select({}) }, `All ${o.unit ?? "prompts"}`),
    ),
  );
}
