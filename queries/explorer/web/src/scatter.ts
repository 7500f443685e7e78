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

const letter = 7.6; // width of one at most, in the font of names
const radius = 4.5;

interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

const meet = (a: Box, b: Box) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

/** scatter draws points with names. A name that would cover another point or name is left out; outlying points come first. */
export function scatter(points: Point[], o: { label: string; x: string; y: string }): HTMLElement {
  const x = scaleLinear(range(points.map((p) => p.x)), [margin.left, width - margin.right]).nice(6);
  const y = scaleLinear(range(points.map((p) => p.y)), [height - margin.bottom, margin.top]).nice(6);
  const text = (scale: typeof x, t: number) => scale.tickFormat(6)(t).replace("-", "−");
  const around = (p: Point): Box => ({ left: x(p.x) - radius, right: x(p.x) + radius, top: y(p.y) - radius, bottom: y(p.y) + radius });
  const places = points.map((p) => ({ p, box: around(p) }));
  const taken: Box[] = [];
  const first = (p: Point) => (p.selected ? 0 : 1);
  const ranked = [...points].sort((a, b) => first(a) - first(b) || Math.abs(b.y) - Math.abs(a.y) || a.name.localeCompare(b.name));
  const drawn = ranked.map((p) => {
    const [px, py] = [x(p.x), y(p.y)];
    const long = letter * p.name.length;
    const sides = [{ at: px + 8, left: px + 8 }, { at: px - 8, left: px - 8 - long }].map(({ at, left }) => ({ at, box: { left, right: left + long, top: py - 6, bottom: py + 6 } }));
    const within = sides.filter(({ box }) => box.left >= margin.left && box.right <= width);
    const free = within.find(({ box }) => !taken.some((t) => meet(t, box)) && !places.some((o) => o.p !== p && meet(o.box, box)));
    const name = free ?? (p.selected ? within[0] : undefined); // the chosen point always has one
    if (name) taken.push(name.box);
    return s(
      "a",
      { href: p.href, class: p.selected ? "point selected" : "point", "aria-label": p.title },
      s("title", {}, p.title),
      s("circle", { cx: px, cy: py, r: radius }),
      name && s("text", { x: name.at, y: py + 4, "text-anchor": name.at < px ? "end" : "start" }, p.name),
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
