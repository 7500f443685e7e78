import { type Params, records } from "../backend.ts";
import { bars } from "../bars.ts";
import type { Context } from "../context.ts";
import { choice, heading, lacking, segments } from "../controls.ts";
import { type Child, h } from "../dom.ts";
import { facts } from "../facts.ts";
import { type Cell, heatmap } from "../heatmap.ts";
import type { Range } from "../histogram.ts";
import { headName, interval, short, supported } from "../numbers.ts";

export interface Part {
  component: string;
  kind: string;
  grid_row: number;
  grid_column: number;
  row_name: string;
  column_name: string;
  mean: number;
  se: number | null;
  n: number;
}

const quadrants = [
  { value: "", text: "all added up" },
  { value: "par_par", text: "query ∥, key ∥" },
  { value: "par_perp", text: "query ∥, key ⊥" },
  { value: "perp_par", text: "query ⊥, key ∥" },
  { value: "perp_perp", text: "query ⊥, key ⊥" },
];

/** basisControls returns the controls for the bases of both sides and the quadrant. */
export function basisControls(c: Context): HTMLElement[] {
  const bases = c.run?.bases;
  if (!bases) return [];
  const options = (side: "query" | "key") => bases[side].map((b) => ({ value: b.name, text: b.name, ...(b.description ? { title: b.description } : {}) }));
  const split = c.queryBasis !== "none" || c.keyBasis !== "none";
  const list: HTMLElement[] = [];
  if (bases.query.length > 1) list.push(choice("Query basis", options("query"), c.queryBasis, (qb) => c.go({ qb: qb === "none" ? undefined : qb })));
  if (bases.key.length > 1) list.push(choice("Key basis", options("key"), c.keyBasis, (kb) => c.go({ kb: kb === "none" ? undefined : kb })));
  if (split) list.push(choice("Quadrant", quadrants, c.state["quadrant"] ?? "", (quadrant) => c.go({ quadrant: quadrant || undefined })));
  return list;
}

/** sideControls returns the controls for the side that is split and for the baseline. */
export function sideControls(c: Context): HTMLElement[] {
  const list = [
    segments("Side", [
      { value: "key", text: "Key side", title: "the key vector is split over components, the query vector held fixed" },
      { value: "query", text: "Query side", title: "the query vector is split over components, the key vector held fixed" },
    ], c.side, (side) => c.link({ side })),
  ];
  if ((c.run?.baselines ?? 0) > 0) {
    list.push(
      segments("Baseline", [
        { value: "yes", text: "Baseline subtracted", title: c.bare ? `this ${c.noun} has no baseline` : "score at the key less that of the baseline", off: c.bare },
        { value: "no", text: "Not subtracted", title: "score at the key position" },
      ], c.subtract ? "yes" : "no", (subtract) => c.link({ subtract: subtract === "no" ? "no" : undefined })),
    );
  }
  return list;
}

/** unsubtracted says why nothing is subtracted in a view of one example. */
export function unsubtracted(c: Context): Child {
  return c.bare && h("p", { class: "note" }, `This ${c.noun} has no baseline: its scores are shown without one subtracted.`);
}

/** settings returns the parameters of the query components. */
export function settings(c: Context): Params {
  return { side: c.side, query_basis: c.queryBasis, key_basis: c.keyBasis, quadrant: c.state["quadrant"] ?? null, subtract: c.subtract };
}

/** selection returns the range of a component's contribution that chooses prompts, if there is one. */
export function selection(c: Context): Params {
  const chosen = range(c);
  if (!chosen || !c.state["within"]) return {};
  return { within: c.state["within"], within_side: c.state["wside"] ?? "key", low: chosen.low ?? null, high: chosen.high ?? null };
}

/** range returns the range of contributions that the user has chosen, if any. */
export function range(c: Context): Range | undefined {
  const end = (name: "low" | "high") => (c.state[name] ? Number(c.state[name]) : undefined);
  return c.state["low"] || c.state["high"] ? { low: end("low"), high: end("high") } : undefined;
}

/** within says in words which prompts a selection chooses. */
function within(c: Context): string {
  const { low, high } = range(c) ?? {};
  const ends = low === undefined ? `at most ${short(high)}` : high === undefined ? `at least ${short(low)}` : `${short(low)} to ${short(high)}`;
  return `Only the ${c.noun}s in which ${c.state["within"]} (${c.state["wside"] ?? "key"} side) contributes ${ends}. `;
}

export function cells(parts: Part[]): Cell[] {
  return parts.map((p) => ({ row: p.grid_row, column: p.grid_column, rowName: p.row_name, columnName: p.column_name, label: p.component, value: p.mean, se: p.se, n: p.n }));
}

/** toCell returns the address of the view cell of a component. */
export const toCell = (c: Context, component: string) => c.link({ view: "cell", component, example: undefined, low: undefined, high: undefined, within: undefined });

/** components shows the heatmap of a head. */
export async function components(c: Context): Promise<Child[]> {
  const title = heading(
    `What makes head ${headName(c.head)} attend there?`,
    `${c.side === "key" ? "What each component wrote at the key position" : "What each component wrote at the query position"}${c.subtract ? ", rather than at the baseline" : ""}: its part of the score, before softmax; all parts add up to it. Choose a cell to see the ${c.noun}s behind it.`,
  );
  const tools = h("div", { class: "tools" }, sideControls(c), basisControls(c));
  if (c.run && !c.has("contributions")) {
    return [title, lacking(c.lack("contributions")), facts(c, {})];
  }
  const answer = await c.ask("components", { ...settings(c), ...selection(c) });
  const parts = supported(records<Part>(answer));
  if (parts.length === 0) return [title, tools, lacking(answer.notes[0] ?? "no prompt meets the conditions"), facts(c, {})];
  const total = parts.reduce((sum, p) => sum + p.mean, 0);
  const unit = c.subtract ? "contribution to the score difference" : "contribution to the score";
  const ranked = [...parts].sort((a, b) => Math.abs(b.mean) - Math.abs(a.mean)).slice(0, 12);
  const chosen = selection(c)["within"];
  const plain = c.queryBasis === "none" && c.keyBasis === "none" && !chosen;
  return [
    title,
    tools,
    chosen && h("p", { class: "note" }, within(c), h("a", { href: c.link({ within: undefined, wside: undefined, low: undefined, high: undefined }) }, `All ${c.noun}s`)),
    h(
      "div",
      { class: "columns snug" },
      heatmap(cells(parts), {
        label: `${c.side}-side components`,
        about: `mean${typeof parts[0]?.se === "number" ? " and 95 % interval" : ""} of ${c.many(parts[0]?.n ?? 0)}`,
        title: `mean ${unit}`,
        href: (cell) => toCell(c, cell.label),
        ...(c.state["component"] ? { selected: c.state["component"] } : {}),
        describe: (cell) => `${cell.label}: ${interval(cell.value, cell.se)}`,
      }),
      h(
        "section",
        { "aria-label": "Largest components" },
        h("h2", {}, "The largest"),
        bars(
          ranked.map((p) => ({
            name: h("a", { href: toCell(c, p.component) }, p.component),
            value: p.mean,
            se: p.se,
            more: [`${short((100 * p.mean) / total, 2)} %`],
            title: `${p.component}: ${interval(p.mean, p.se)}`,
          })),
          { label: "Largest components", heads: ["component", "mean", "of the total"] },
        ),
        h("p", { class: "muted" }, `All ${parts.length} components add up to ${short(total)}. A share may be above 100 %, as others count against it.`),
      ),
    ),
    facts(c, {
      n: parts[0]?.n,
      interval: true,
      subtracted: c.subtract,
      bases: true,
      figure: plain ? { name: c.side === "key" ? "key_components" : "query_components" } : { name: "components", params: { ...settings(c), ...selection(c) } },
    }),
  ];
}
