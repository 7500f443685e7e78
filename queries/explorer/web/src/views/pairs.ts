import { type Answer, records } from "../backend.ts";
import type { Context } from "../context.ts";
import { choice, heading, segments } from "../controls.ts";
import { type Child, h } from "../dom.ts";
import { facts } from "../facts.ts";
import { type Cell, heatmap } from "../heatmap.ts";
import { headName, interval, supported } from "../numbers.ts";
import { type Pair, askPairs, pairList } from "../pairs.ts";
import { basisControls, sideControls, unsubtracted } from "./components.ts";

const listed = 24;
const gridded = 10; // components of each side in the grid: those that the largest pairs are made of

/** pairs ranks pairs of a query component and a key component. */
export async function pairs(whole: Context): Promise<Child[]> {
  const { scope, example: chosen } = whole.state;
  const example = scope === "prompt" && chosen ? Number(chosen) : undefined;
  const c = example === undefined ? whole : await whole.of(example);
  const [query, key] = [c.state["qc"], c.state["kc"]];
  const [answer, block] = await Promise.all([
    askPairs(c, { example, query, key, most: listed + 1 }),
    query || key ? undefined : askPairs(c, { example, grid: gridded, most: gridded * gridded }),
  ]);
  const own = c.asked.find((asked) => asked.answer === answer);
  const all = answer ? supported(records<Pair>(answer)) : [];
  const cells = block ? supported(records<Pair>(block)) : [];
  const components = [{ value: "", text: "any" }, ...(c.run?.components ?? []).map((value) => ({ value, text: value }))];
  const shown: Answer | undefined = answer && { ...answer, rows: answer.rows.slice(0, listed) };
  return [
    heading(
      `Which pairs of components make head ${headName(c.head)} attend?`,
      "A component that wrote at the query position meets one that wrote at the key position: their part of the score. All pairs add up to it.",
    ),
    h(
      "div",
      { class: "tools" },
      c.state["example"] &&
        segments("Over", [{ value: "", text: `All ${c.noun}s` }, { value: "prompt", text: `${c.Noun} ${c.state["example"]}` }], c.state["scope"] ?? "", (scope) => c.link({ scope })),
      sideControls(c).slice(1),
      choice("Query component", components.filter((o) => o.value !== "b_K"), query ?? "", (qc) => c.go({ qc: qc || undefined })),
      choice("Key component", components.filter((o) => o.value !== "b_Q"), key ?? "", (kc) => c.go({ kc: kc || undefined })),
      basisControls(c),
    ),
    unsubtracted(c),
    h(
      "div",
      { class: "columns snug" },
      cells.length > 0 ? grid(c, cells) : h("div", {}, query && key && both(c, query, key)),
      h("section", { "aria-label": "Largest pairs" }, h("h2", {}, all.length > listed ? `The largest ${listed}` : "The largest"), pairList(c, shown, "Pairs of components")),
    ),
    facts(c, {
      n: example === undefined ? all[0]?.n : 1,
      interval: example === undefined,
      subtracted: c.subtract,
      bases: true,
      figure: answer && { name: own?.query.name ?? "component_pairs", params: { ...own?.params, most: listed } },
    }),
  ];
}

// both links to the cells of the two components of a pair.
function both(c: Context, query: string, key: string): HTMLElement {
  const to = (side: string, component: string) => h("a", { href: c.link({ view: "cell", side, component }) }, `${component}, ${side} side`);
  return h("p", { class: "note" }, `The ${c.noun}s behind each of them: `, to("query", query), " and ", to("key", key), ". ", h("a", { href: c.link({ qc: undefined, kc: undefined }) }, "All pairs"));
}

function grid(c: Context, list: Pair[]): HTMLElement {
  const largest = (of: (p: Pair) => string) => [...new Set(list.map(of))]; // the list begins with the largest pairs
  const queries = largest((p) => p.query_component);
  const keys = largest((p) => p.key_component);
  const cells: Cell[] = list.flatMap((p) => {
    const [row, column] = [queries.indexOf(p.query_component), keys.indexOf(p.key_component)];
    return row < 0 || column < 0 ? [] : [{ row, column, rowName: p.query_component, columnName: p.key_component, label: p.pair, value: p.mean, se: p.se, n: p.n }];
  });
  return h(
    "div",
    {},
    heatmap(cells, {
      label: "Pairs of components",
      corner: "query ↓ key →",
      bare: true,
      title: `${list[0] && list[0].n > 1 ? "mean " : ""}contribution of the pair; the ${gridded} components of each side with the largest pairs`,
      href: (cell) => c.link({ qc: queries[cell.row], kc: keys[cell.column] }),
      describe: (cell) => `${cell.label}: ${interval(cell.value, cell.se)}`,
    }),
  );
}
