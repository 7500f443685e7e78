import { type Answer, records } from "../backend.ts";
import type { Context } from "../context.ts";
import { heading, lacking } from "../controls.ts";
import { type Child, h } from "../dom.ts";
import { facts } from "../facts.ts";
import { histogram } from "../histogram.ts";
import { count, fixed, headName, interval, leastPrompts, short } from "../numbers.ts";
import { askPairs, pairList } from "../pairs.ts";
import { diverging, on } from "../palette.ts";
import { virtualList } from "../virtuallist.ts";
import { basisControls, range, settings, sideControls } from "./components.ts";

interface Behind {
  example_id: number;
  prompt_id: number;
  value: number;
  pct_of_total: number | null;
  key_token: string;
  baseline_token: string | null;
  text: string;
}

const mostPrompts = 20_000; // what a page can hold at ease; the largest come first
const mostPairs = 5;

/** cell shows what one component contributes in each prompt, and its largest pairs. */
export async function cell(c: Context): Promise<Child[]> {
  const component = c.state["component"] ?? "MLP0";
  const wanted = { ...settings(c), component };
  const brush = range(c);
  const split = c.queryBasis !== "none" || c.keyBasis !== "none"; // pairs of some prompts are multiplied out, without bases
  const some = !split && c.has("factors") && c.has("examples") && (brush || c.state["only"]);
  const [answer, pairs] = await Promise.all([
    c.ask("cell_prompts", { ...wanted, most: mostPrompts }),
    some ? c.ask("cell_pairs", { component, side: c.side, subtract: c.subtract, low: brush?.low ?? null, high: brush?.high ?? null, most: mostPairs }) : askPairs(c, { [c.side]: component, most: mostPairs }),
  ]);
  const all = records<Behind>(answer);
  const title = heading(
    [`Which ${c.noun}s are behind ${component}?`],
    [
      `What ${component} contributes to the score of head ${headName(c.head)} in each ${c.noun}, by way of the ${c.side}${c.subtract ? ", baseline subtracted" : ""}. Choose ${c.noun === "edge" ? "an edge" : "a prompt"} to see its tokens. `,
      h("a", { href: c.link({ view: "components", low: undefined, high: undefined }) }, "Back to the heatmap"),
    ],
  );
  const tools = h("div", { class: "tools" }, sideControls(c), basisControls(c));
  if (all.length === 0) return [title, tools, behind(c, component, pairs), lacking(!c.has("examples") ? c.lack("examples") : answer.notes[0] ?? `no ${c.noun} has a contribution of ${component} on the ${c.side} side for these bases`), facts(c, {})];

  const rows = brush ? all.filter((r) => r.value >= (brush.low ?? r.value) && r.value <= (brush.high ?? r.value)) : all;
  const mean = all.reduce((sum, r) => sum + r.value, 0) / all.length;
  const sd = Math.sqrt(all.reduce((sum, r) => sum + (r.value - mean) ** 2, 0) / Math.max(1, all.length - 1));
  const se = sd / Math.sqrt(all.length);
  const limit = Math.max(...all.map((r) => Math.abs(r.value))) || 1;

  return [
    title,
    tools,
    h(
      "div",
      { class: "columns wide-left" },
      h(
        "section",
        { "aria-label": `Distribution over ${c.noun}s` },
        histogram(all.map((r) => r.value), {
          label: `Contributions of ${component}`,
          unit: `${c.noun}s`,
          title: `contribution of ${component} to the score${c.subtract ? " difference" : ""}`,
          brush,
          select: ({ low, high }) => c.go({ low: low?.toPrecision(4), high: high?.toPrecision(4) }),
        }),
        h(
          "p",
          { class: "muted" },
          `Mean ${all.length < leastPrompts ? short(mean) : interval(mean, se)}, standard deviation ${short(sd)}; ${Math.round((100 * all.filter((r) => r.value > 0).length) / all.length)} % of ${c.noun}s above 0.`,
          brush && [" ", h("a", { href: c.link({ view: "components", within: component, wside: c.side }) }, `Components of these ${rows.length} ${c.noun}s alone`)],
        ),
      ),
      behind(c, component, pairs, some ? rows.length : undefined),
    ),
    h(
      "section",
      { "aria-label": `${c.Noun}s` },
      h("h2", {}, brush ? `${rows.length} of ${all.length} ${c.noun}s, by size` : `All ${all.length.toLocaleString("en")} ${c.noun}s, by size`),
      h("div", { class: "promptrow heads", "aria-hidden": "true" }, h("span", { class: "number" }, c.noun), h("span", { class: "number" }, "value"), h("span", { class: "number" }, "of the sum"), h("span", {}, "text")),
      virtualList(rows.length, 30, `${c.Noun}s, largest contribution first`, (i) => promptRow(c, rows[i] as Behind, limit)),
    ),
    facts(c, { n: all.length, interval: true, subtracted: c.subtract, bases: true, more: answer.rows.length === mostPrompts ? `the ${mostPrompts.toLocaleString("en")} ${c.noun}s with the largest contributions are listed` : undefined }),
  ];
}

// behind shows the largest pairs of the component, over all or some prompts.
function behind(c: Context, component: string, pairs: Answer | undefined, some?: number): HTMLElement {
  const over = some === undefined ? `mean over all ${c.noun}s` : `mean over ${some === 1 ? `this ${c.noun}` : `these ${count(some, c.noun)}`}`;
  return h(
    "section",
    { "aria-label": "Pairs behind this cell" },
    h("h2", {}, "Pairs behind it"),
    h(
      "p",
      { class: "muted" },
      c.side === "key" ? `${component} at the key, met by what these wrote at the query; ${over}.` : `${component} at the query, meeting what these wrote at the key; ${over}.`,
    ),
    pairList(c, pairs, `Pairs of ${component}`),
    pairs && h("p", {}, h("a", { href: c.link({ view: "pairs", qc: undefined, kc: undefined, [c.side === "key" ? "kc" : "qc"]: component }) }, "All its pairs")),
  );
}

function promptRow(c: Context, r: Behind, limit: number): HTMLElement {
  const color = diverging(r.value / limit);
  return h(
    "div",
    { role: "listitem", class: "listitem" },
    h(
      "a",
      { class: "promptrow", href: c.link({ view: "prompt", example: String(r.example_id) }), id: `prompt-${r.example_id}`, title: c.noun === "edge" ? `prompt ${r.prompt_id}: ${r.text}` : r.text },
      h("span", { class: "number" }, r.example_id),
      h("span", { class: "number chip", style: { background: color, color: on(color) } }, fixed(r.value, limit < 0.1 ? 4 : 2)),
      h("span", { class: "number" }, r.pct_of_total === null ? "–" : `${fixed(r.pct_of_total, 2)} %`),
      h("span", { class: "text" }, marked(r.text, r.key_token, r.baseline_token)),
    ),
  );
}

/** marked shows a text with the words of key and baseline highlighted. */
export function marked(text: string, key: string, baseline: string | null): Child[] {
  const words = [key.trim(), (baseline ?? "").trim()];
  const parts: Child[] = [];
  let rest = text;
  while (rest) {
    const found = words.map((w) => (w ? rest.indexOf(w) : -1));
    const at = Math.min(...found.filter((i) => i >= 0));
    if (!Number.isFinite(at)) break;
    const role = found[0] === at ? 0 : 1;
    const word = words[role] as string;
    parts.push(rest.slice(0, at), h("span", { class: role === 0 ? "word-key" : "word-baseline" }, word));
    rest = rest.slice(at + word.length);
  }
  return [...parts, rest];
}
