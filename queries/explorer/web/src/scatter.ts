import { scaleLinear } from "d3-scale";
import { h, s } from "./dom.ts";

export interface Point {
  x: number;
  y: number;
  name: string;
  href?: string;
  title: string;
  selected?: boolean;
}

const width = 520;
const height = 380;
const margin = { left: 52, right: 24, top: 12, bottom: 40 };

/** scatter draws points with names. Where names would overlap, outlying points keep theirs. */
export function scatter(points: Point[], o: { label: string; x: string; y: string }): HTMLElement {
  const x = scaleLinear(range(points.map((p) => p.x)), [margin.left, width - margin.right]).nice(6);
  const y = scaleLinear(range(points.map((p) => p.y)), [height - margin.bottom, margin.top]).nice(6);
  const text = (scale: typeof x, t: number) => scale.tickFormat(6)(t).replace("-", "−");
  const taken: [number, number][] = [];
  const free = (px: number, py: number) => taken.every(([a, b]) => Math.abs(a - px) > 26 || Math.abs(b - py) > 12) && points.every((p) => Math.abs(x(p.x) + 4 - px) > 16 || Math.abs(y(p.y) - py) > 8 || x(p.x) + 14 === px);
  const drawn = [...points].sort((a, b) => Math.abs(b.y) - Math.abs(a.y) || a.name.localeCompare(b.name)).map((p) => {
    const [px, py] = [x(p.x), y(p.y)];
    const named = p.selected || (free(px + 14, py) && taken.push([px + 14, py]) > 0);
    const left = px > width - margin.right - 34;
    return s(
      "a",
      { href: p.href, class: p.selected ? "point selected" : "point", "aria-label": p.title },
      s("title", {}, p.title),
      s("circle", { cx: px, cy: py, r: 4.5 }),
      named && s("text", { x: left ? px - 8 : px + 8, y: py + 4, "text-anchor": left ? "end" : "start" }, p.name),
    );
  });
  return h(
    "figure",
    { class: "plot" },
    s(
      "svg",
      { class: "scatter", viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": o.label },
      x.ticks(6).map((t) => [s("line", { class: t === 0 ? "zero" : "gridline", x1: x(t), x2: x(t), y1: margin.top, y2: height - margin.bottom }), s("text", { x: x(t), y: height - margin.bottom + 16, "text-anchor": "middle" }, text(x, t))]),
      y.ticks(6).map((t) => [s("line", { class: t === 0 ? "zero" : "gridline", x1: margin.left, x2: width - margin.right, y1: y(t), y2: y(t) }), s("text", { x: margin.left - 7, y: y(t) + 4, "text-anchor": "end" }, text(y, t))]),
      s("text", { class: "axistitle", x: (margin.left + width - margin.right) / 2, y: height - 5, "text-anchor": "middle" }, o.x),
      s("text", { class: "axistitle", transform: `translate(13 ${(height - margin.bottom + margin.top) / 2}) rotate(-90)`, "text-anchor": "middle" }, o.y),
      drawn,
    ),
  );
}

function range(values: number[]): [number, number] {
  const low = values.reduce((a, b) => Math.min(a, b), 0);
  const high = values.reduce((a, b) => Math.max(a, b), 0);
  return low === high ? [low, low + 1] : [low, high];
}
