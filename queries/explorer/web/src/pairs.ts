// Lists of pairs of components, which several views show.

import { type Answer, type Params, records } from "./backend.ts";
import { bars } from "./bars.ts";
import type { Context } from "./context.ts";
import { lacking } from "./controls.ts";
import { h } from "./dom.ts";
import { interval, supported } from "./numbers.ts";
import { settings } from "./views/components.ts";

export interface Pair {
  pair: string;
  query_component: string;
  key_component: string;
  mean: number;
  se: number | null;
  n: number;
}

export interface Wanted {
  /** the prompt; if absent, the pairs are means over all prompts */
  example?: number | undefined;
  query?: string | undefined;
  key?: string | undefined;
  /** how many components of each side to take; then most must be no less than all their pairs */
  grid?: number;
  most: number;
}

/** askPairs returns pairs, the largest first, or undefined if the run has none. */
export async function askPairs(c: Context, w: Wanted): Promise<Answer | undefined> {
  if (!c.has("factors")) return undefined;
  const { query_basis, key_basis, quadrant, subtract } = settings(c);
  const params: Params = { query_basis: query_basis ?? null, key_basis: key_basis ?? null, quadrant: quadrant ?? null, subtract: subtract ?? null, most: w.most, grid: w.grid ?? null, query_component: w.query ?? null, key_component: w.key ?? null };
  if (w.example === undefined) return c.ask("component_pairs", params);
  const split = c.queryBasis !== "none" || c.keyBasis !== "none"; // which takes DuckDB several times as long to plan
  return c.ask(split ? "prompt_pairs_split" : "prompt_pairs", { ...params, example: w.example });
}

/** pairList shows a ranked list of pairs. */
export function pairList(c: Context, answer: Answer | undefined, label: string): HTMLElement {
  if (!answer) return lacking(c.lack("factors"));
  const list = supported(records<Pair>(answer));
  if (list.length === 0) return lacking(answer.notes[0] ?? `no pairs are stored for the bases ${c.queryBasis} and ${c.keyBasis}: choose none for both`);
  return bars(
    list.map((p) => ({
      name: h("a", { href: c.link({ view: "pairs", qc: p.query_component, kc: p.key_component }) }, p.pair),
      value: p.mean,
      se: p.se,
      title: `${p.pair}: ${interval(p.mean, p.se)}`,
    })),
    { label, heads: ["query × key", p(list[0])] },
  );
}

const p = (first: Pair | undefined) => (first && first.n > 1 ? "mean" : "value");
