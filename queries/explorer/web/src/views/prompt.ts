import { type Answer, type Params, records } from "../backend.ts";
import { bars, extent } from "../bars.ts";
import type { Context } from "../context.ts";
import { heading, lacking } from "../controls.ts";
import { type Child, h } from "../dom.ts";
import { facts } from "../facts.ts";
import { type Cell, heatmap } from "../heatmap.ts";
import { later } from "../later.ts";
import { fixed, headName, percent, sentence, short } from "../numbers.ts";
import { askPairs, pairList } from "../pairs.ts";
import { type Part, basisControls, settings, sideControls, toCell, unsubtracted } from "./components.ts";

interface Token {
  pos: number;
  token: string;
  score: number | null;
  prob: number | null;
  is_query: boolean;
  is_key: boolean;
  is_baseline: boolean;
}

interface Score {
  prompt_id: number;
  text: string;
  key_token: string;
  baseline_token: string | null;
  score: number;
  baseline: number | null;
  diff: number | null;
  prob: number;
  baseline_prob: number | null;
  closure_residual: number;
  mean_score: number;
  mean_diff: number | null;
  mean_prob: number;
}

interface Without {
  component: string;
  score: number;
  score_without: number;
  prob: number;
  prob_without: number;
}

interface Ablation {
  component: string;
  method: string;
  place: string;
  own_score: number;
  score: number;
}

interface RowCell {
  place: number;
  component: string;
  pos: number;
  token: string;
  score: number;
}

interface Near {
  side: string;
  vector: string;
  rank: number;
  token: string;
  cosine: number;
  is_key: boolean;
}

const listed = 14;
const nearby = 5;
const rowComponents = 12;
const rowTokens = 16;

/** prompt shows one prompt: what the head attends to, and which components contribute to it. */
export async function prompt(all: Context): Promise<Child[]> {
  const example = Number(all.state["example"] ?? 0);
  const c = await all.of(example);
  const norm = c.has("norms") ? "responding" : "frozen";
  const component = c.state["component"];
  const single = c.has("contributions") && c.has("examples"); // a run may keep means alone
  const [tokenAnswer, scoreAnswer, own, mean, pairs, its, row] = await Promise.all([
    c.ask("prompt_tokens", { example }),
    c.ask("prompt_score", { example }),
    single ? c.ask("prompt_components", { ...settings(c), example }) : undefined,
    single ? c.ask("components", { ...settings(c), only: null }) : undefined,
    askPairs(c, { example, most: 8 }),
    component ? askPairs(c, { example, [c.side]: component, most: 4 }) : undefined,
    c.has("rows") ? c.ask("row_components", { example, side: c.side, most: rowComponents, tokens: rowTokens }) : undefined,
  ]);
  const tokens = records<Token>(tokenAnswer);
  const score = records<Score>(scoreAnswer)[0];
  const up = component
    ? h("a", { href: c.link({ view: "cell" }) }, `Back to the ${c.noun}s behind ${component}`)
    : h("a", { href: c.link({ view: "components" }) }, "Back to the heatmap");
  const ablations: [string, Params][] = c.has("ablation") ? [["prompt_ablation", { example }]] : [];
  const last = (c.run?.edges ?? 0) - 1;
  return [
    heading(`${c.Noun} ${example}${c.noun === "edge" && score ? `, of prompt ${score.prompt_id}` : ""}: what head ${headName(c.head)} attends to`, up),
    h(
      "div",
      { class: "tools" },
      h("span", { class: "segments" }, step(c, "previous", "‹ Previous", example - 1, last), step(c, "next", "Next ›", example + 1, last)),
      sideControls(c),
      basisControls(c),
    ),
    unsubtracted(c),
    text(tokens, row ? records<RowCell>(row) : []),
    c.has("nearest") && later(c, [["prompt_nearest", { example, most: nearby }]], 2, (answer) => nearest(records<Near>(answer))),
    score && summary(score),
    h(
      "div",
      { class: "columns" },
      own && mean && own.rows.length > 0 ? contributions(c, own, mean) : lacking(own?.notes[0] ?? c.lack(c.has("contributions") ? "examples" : "contributions")),
      h(
        "section",
        { "aria-label": "Pairs and what if" },
        component && its && its.rows.length > 0 && [h("h2", {}, `Pairs behind ${component} in this ${c.noun}`), pairList(c, its, `Pairs of ${component} in this ${c.noun}`), h("br")],
        h("h2", {}, "Pairs of components behind its score"),
        pairList(c, pairs, `Pairs in this ${c.noun}`),
        pairs && pairs.rows.length > 0 && h("p", {}, h("a", { href: c.link({ view: "pairs", scope: "prompt" }) }, `All pairs of this ${c.noun}`)),
        single && score && later(c, [["prompt_without", { example, norm }], ...ablations], 13, (without, ablated) =>
          without && without.rows.length > 0 && whatIf(c, records<Without>(without), norm, ablated ? records<Ablation>(ablated) : [])),
        !c.has("ablation") && lacking(c.lack("ablation")),
      ),
    ),
    row ? rowMap(c, records<RowCell>(row)) : lacking(c.lack("rows")),
    facts(c, { n: 1, subtracted: c.subtract, bases: true, more: score && `the parts of this ${c.noun} are within ${short(score.closure_residual, 2)} of its score`, figure: { name: "components", params: { ...settings(c), example } } }),
  ];
}

// step links to another prompt, if there is one.
function step(c: Context, id: string, text: string, to: number, last: number): HTMLElement {
  return to < 0 || to > last ? h("a", { id, role: "link", "aria-disabled": "true" }, text) : h("a", { id, href: c.link({ example: String(to) }) }, text);
}

const roles = (t: Token) => [t.is_query && "query", t.is_key && "key", t.is_baseline && "baseline"].filter(Boolean).join(", ");

// text shows the tokens coloured by attention, and below them the numbers of one token.
function text(tokens: Token[], row: RowCell[]): HTMLElement {
  const about = h("p", { class: "about", "aria-live": "polite" });
  const tell = (t: Token) => {
    const role = roles(t);
    about.replaceChildren(
      h("code", {}, printable(t.token)),
      ` at position ${t.pos}${role ? `, ${role}` : ""}: `,
      t.prob === null ? "behind the query, out of its sight" : `attention ${percent(t.prob)}, score ${short(t.score)}`,
      made(row, t),
    );
  };
  const key = tokens.find((t) => t.is_key) ?? tokens[0];
  if (key) tell(key);
  const spans = tokens.map((t, i) =>
    h(
      "span",
      {
        class: `token${t.is_query ? " is-query" : ""}${t.is_key ? " is-key" : ""}${t.is_baseline ? " is-baseline" : ""}`,
        role: "listitem",
        tabindex: t === key ? "0" : "-1",
        "aria-label": `${t.token.trim() || "space"}${roles(t) ? `, ${roles(t)}` : ""}: attention ${percent(t.prob)}`,
        style: { "--attention": String(t.prob ?? 0) },
        onmouseenter: () => tell(t),
        onfocus: () => tell(t),
        onkeydown: (e: KeyboardEvent) => {
          const to = e.key === "ArrowRight" ? i + 1 : e.key === "ArrowLeft" ? i - 1 : e.key === "Home" ? 0 : e.key === "End" ? tokens.length - 1 : -1;
          const next = spans[to];
          if (!next) return;
          e.preventDefault();
          for (const span of spans) span.tabIndex = span === next ? 0 : -1;
          next.focus();
        },
      },
      printable(t.token),
    ),
  );
  return h(
    "section",
    { class: "prompt", "aria-label": "Tokens" },
    h("div", { class: "tokens", role: "list" }, spans),
    h(
      "p",
      { class: "key" },
      h("span", { class: "token is-query" }, "query"), " attends from here ",
      h("span", { class: "token is-key" }, "key"), " to here ",
      tokens.some((t) => t.is_baseline) && [h("span", { class: "token is-baseline" }, "baseline"), " compared with this "],
      h("span", { class: "attention" }, h("span", {}, "0"), h("span", { class: "ramp" }), h("span", {}, "100 % attention")),
    ),
    about,
  );
}

// made lists the largest contributions to the score of a token, if the run has those of every key.
function made(row: RowCell[], t: Token): string {
  const parts = row.filter((r) => r.pos === t.pos && !r.component.startsWith("other "));
  const largest = parts.sort((a, b) => Math.abs(b.score) - Math.abs(a.score)).slice(0, 4);
  return largest.length > 0 ? `; of it ${largest.map((r) => `${r.component} ${short(r.score)}`).join(", ")}` : "";
}

/** printable replaces characters that would be invisible. */
export const printable = (token: string) => token.replace(/\n/g, "⏎").replace(/\t/g, "⇥");

// nearest names the tokens whose unembeddings are nearest to the map of each side in this prompt, with the cosines.
function nearest(list: Near[]): HTMLElement | undefined {
  if (list.length === 0) return undefined;
  const line = (side: string) => {
    const own = list.filter((n) => n.side === side);
    const map = own.filter((n) => n.vector === "map");
    const random = own.find((n) => n.vector === "random");
    const key = map.find((n) => n.is_key);
    return [
      h("dt", {}, `Nearest unembeddings, map of the ${side}`),
      h(
        "dd",
        {},
        map.filter((n) => n.rank <= nearby).map((n, i) => [i > 0 && ", ", h("code", {}, printable(n.token)), ` ${fixed(n.cosine, 3)}`]),
        h("span", { class: "muted" }, random && `; a random direction ${fixed(random.cosine, 3)}`, key && key.rank > nearby && `; the key's token is number ${key.rank}`),
      ),
    ];
  };
  return h(
    "section",
    { class: "nearest", "aria-label": "Nearest unembeddings in this prompt" },
    h("dl", {}, ["query", "key"].filter((side) => list.some((n) => n.side === side)).map(line)),
  );
}

function summary(s: Score): HTMLElement {
  const fact = (name: string, value: Child, mean: Child) => h("div", {}, h("dt", {}, name), h("dd", {}, h("strong", {}, value), h("span", { class: "muted" }, " mean ", mean)));
  return h(
    "dl",
    { class: "numbers" },
    fact("attention to the key", percent(s.prob), percent(s.mean_prob)),
    fact("score of the key", short(s.score), short(s.mean_score)),
    s.diff !== null && fact("less that of the baseline", short(s.diff), short(s.mean_diff)),
  );
}

function contributions(c: Context, own: Answer, mean: Answer): HTMLElement {
  const means = new Map(records<Part>(mean).map((p) => [p.component, p.mean]));
  const parts = records<Pick<Part, "component" | "mean">>(own); // the largest first
  const shown = parts.slice(0, listed);
  const rest = parts.slice(listed).reduce((sum, p) => sum + p.mean, 0);
  const total = parts.reduce((sum, p) => sum + p.mean, 0);
  const list = shown.map((p) => ({
    name: h("a", { href: toCell(c, p.component) }, p.component),
    value: p.mean,
    mark: means.get(p.component),
    more: [means.get(p.component) ?? "–"],
    class: p.component === c.state["component"] ? "selected" : "",
  }));
  return h(
    "section",
    { "aria-label": "Contributions" },
    h("h2", {}, `What its score${c.subtract ? " difference" : ""} is made of`),
    h("p", { class: "muted" }, `${c.side === "key" ? (c.subtract ? "What each component wrote at the key rather than at the baseline" : "What each component wrote at the key position") : "What each component wrote at the query position"}; the tick is its mean over all ${c.noun}s.`),
    bars(list, { label: `Contributions in this ${c.noun}`, heads: ["component", "here", "mean"], extent: extent(list) }),
    h("p", { class: "muted" }, parts.length > listed && `The other ${parts.length - listed} together ${short(rest)}. `, `Sum ${short(total)}.`),
  );
}

// whatIf shows the score without each component, beside the ablation of the model if the run has one.
function whatIf(c: Context, list: Without[], norm: string, ablated: Ablation[]): HTMLElement {
  const kinds = [...new Set(ablated.map((a) => `${a.method} at ${a.place}`))];
  const change = (a: Ablation | undefined) => (a ? fixed(a.score - a.own_score, 2) : "");
  return h(
    "section",
    { "aria-label": "What if" },
    h("h2", {}, "Without a component at the key"),
    h(
      "p",
      { class: "muted" },
      `The score of the key and the attention that it gets, with the norms ${norm === "frozen" ? "as they were" : "made again for what is left"}; other layers stay as they were. `,
      norm === "frozen" && !c.has("norms") && sentence(c.lack("norms")),
    ),
    h(
      "div",
      { class: "scroll" },
      h(
        "table",
        { class: "plain" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "without"), ["score", "changes by", "attention", ...kinds.map((k) => `ablated: ${k}`)].map((t) => h("th", { class: "number", scope: "col" }, t)))),
        h(
          "tbody",
          {},
          list.slice(0, 8).map((w) =>
            h(
              "tr",
              { class: w.component === c.state["component"] ? "selected" : "" },
              h("th", { scope: "row" }, h("a", { href: toCell(c, w.component) }, w.component)),
              h("td", { class: "number" }, fixed(w.score_without, 2)),
              h("td", { class: "number" }, fixed(w.score_without - w.score, 2)),
              h("td", { class: "number" }, percent(w.prob_without)),
              kinds.map((k) => h("td", { class: "number" }, change(ablated.find((a) => a.component === w.component && `${a.method} at ${a.place}` === k)))),
            ),
          ),
        ),
      ),
    ),
    kinds.length > 0 && h("p", { class: "muted" }, "Ablated: the change of the score when the model runs on without the component, all later layers responding."),
  );
}

// rowMap shows the contributions to the scores of all tokens.
function rowMap(c: Context, list: RowCell[]): HTMLElement {
  const cells: Cell[] = list.map((r) => ({ row: r.place, column: r.pos, rowName: r.component, columnName: printable(r.token), label: r.component, value: r.score }));
  return h(
    "section",
    { "aria-label": "All keys" },
    h("h2", {}, "What the score of every token is made of"),
    h("p", { class: "muted" }, `${c.side === "key" ? "What each component wrote at that token" : "What each component wrote at the query, met by the key of that token"}; the components whose contributions differ most between tokens, and the tokens that get most attention.`),
    heatmap(cells, {
      label: "Component by token",
      corner: "component",
      bare: true,
      title: "contribution to the score of the token",
      describe: (cell) => `${cell.rowName}, ${cell.columnName}: ${short(cell.value)}`,
    }),
  );
}
