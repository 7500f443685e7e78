import { scaleLinear } from "d3-scale";
import { type Child, h, s } from "./dom.ts";
import { decimals, fixed, half } from "./numbers.ts";

export interface Bar {
  name: Child;
  value: number;
  se?: number | null;
  /** another value of the same thing, drawn as a tick */
  mark?: number | null | undefined;
  /** more columns after the value; their numbers have as many decimals as the values */
  more?: Child[];
  class?: string;
  title?: string;
}

export interface BarOptions {
  label: string;
  /** column heads: name, value, and those of more */
  heads: string[];
  unit?: string;
  /** decimals of the numbers; if absent, the largest value has four digits */
  places?: number;
  /** the least extent of the axis, so that several lists share a scale */
  extent?: [number, number];
  /** a band behind all bars, such as the shares along random directions */
  band?: [number, number] | undefined;
}

const width = 200;
const height = 24;

/** extent returns the smallest and the largest end of the bars' intervals; zero is always inside. */
export function extent(bars: Bar[]): [number, number] {
  const ends = bars.flatMap((b) => [b.value - half(b.se ?? 0), b.value + half(b.se ?? 0), b.mark ?? 0]);
  return [Math.min(0, ...ends), Math.max(0, ...ends)];
}

/** bars returns a table with a bar in each row, from zero to the value, and its 95 % interval. */
export function bars(list: Bar[], o: BarOptions): HTMLElement {
  const own = extent(list);
  const [low, high] = o.extent ?? own;
  const x = scaleLinear([Math.min(low, o.band?.[0] ?? 0), Math.max(high, o.band?.[1] ?? 0) || 1], [4, width - 4]);
  const numbers = (b: Bar) => [b.value, ...(b.more ?? []).filter((m) => typeof m === "number")];
  const places = o.places ?? decimals(list.flatMap(numbers));
  const together = (head: string) => (head.length <= 12 ? head.replace(/ /g, "\u00a0") : head); // short heads keep to one line
  const [name = "", value = "", ...more] = o.heads.map(together);
  const said = list.some((b) => typeof b.se === "number"); // what is drawn, for whoever does not see it
  return h(
    "table",
    { class: "bars", "aria-label": o.label },
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, name),
        h("th", { class: "number", scope: "col" }, value),
        h(said ? "th" : "td", { class: "axis", scope: said ? "col" : undefined }, said && h("span", { class: "said" }, "95 % interval"), axis(x)),
        more.map((m) => h("th", { class: "number", scope: "col" }, m)),
      ),
    ),
    h(
      "tbody",
      {},
      list.map((b) =>
        h(
          "tr",
          { class: b.class, title: b.title },
          h("th", { scope: "row" }, b.name),
          h("td", { class: "number" }, fixed(b.value, places), o.unit ?? ""),
          h("td", { class: "drawn" }, typeof b.se === "number" && h("span", { class: "said" }, `${fixed(b.value - half(b.se), places)} to ${fixed(b.value + half(b.se), places)}`), drawn(b, x, o.band)),
          (b.more ?? []).map((m) => h("td", { class: "number" }, typeof m === "number" ? fixed(m, places) : m)),
        ),
      ),
    ),
  );
}

function axis(x: ReturnType<typeof scaleLinear<number>>): SVGElement {
  const text = x.tickFormat(4);
  const anchor = (at: number) => (at < 14 ? "start" : at > width - 14 ? "end" : "middle");
  const place = (t: number) => ({ start: 1, middle: x(t), end: width - 1 })[anchor(x(t))];
  const ends = (t: number): [number, number] => {
    const [at, long] = [place(t), 7 * text(t).length];
    const left = at - { start: 0, middle: long / 2, end: long }[anchor(x(t))];
    return [left, left + long];
  };
  const apart = (list: number[]) => list.every((t, i) => i === 0 || ends(t)[0] > ends(list[i - 1] as number)[1]);
  const all = x.ticks(4);
  const ticks = apart(all) ? all : all.filter((_, i) => (i - all.indexOf(0)) % 2 === 0); // zero is among them, as bars begin there
  return s(
    "svg",
    { class: "axis", width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
    ticks.map((t) => {
      return s("text", { x: place(t), y: 18, "text-anchor": anchor(x(t)) }, text(t).replace("-", "−"));
    }),
  );
}

function drawn(b: Bar, x: ReturnType<typeof scaleLinear<number>>, band?: [number, number]): SVGElement {
  const zero = x(0);
  const end = x(b.value);
  const middle = height / 2;
  const error = half(b.se ?? 0);
  return s(
    "svg",
    { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
    band && s("rect", { class: "band", x: x(band[0]), y: 0, width: Math.max(3, x(band[1]) - x(band[0])), height }),
    x.ticks(4).map((t) => s("line", { class: t === 0 ? "zero" : "gridline", x1: x(t), x2: x(t), y1: 0, y2: height })),
    s("rect", { class: b.value < 0 ? "negative" : "positive", x: Math.min(zero, end), y: 6, width: Math.abs(end - zero), height: height - 12 }),
    error > 0 && s("line", { class: "error", x1: x(b.value - error), x2: x(b.value + error), y1: middle, y2: middle }),
    b.mark !== undefined && b.mark !== null && s("line", { class: "mark", x1: x(b.mark), x2: x(b.mark), y1: 3, y2: height - 3 }),
  );
}
