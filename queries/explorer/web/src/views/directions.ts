import { records } from "../backend.ts";
import { type Bar, bars } from "../bars.ts";
import type { Context } from "../context.ts";
import { heading, lacking } from "../controls.ts";
import { type Child, h } from "../dom.ts";
import { facts } from "../facts.ts";
import { later } from "../later.ts";
import { fixed, half, headName, interval, leastPrompts, percent, sentence, supported } from "../numbers.ts";
import { sideControls } from "./components.ts";

interface Share {
  side: string;
  basis: string;
  pct: number;
  se: number | null;
  n: number;
  null_low: number | null;
  null_high: number | null;
  null_n: number;
  denominator_is: string;
}

interface Projection {
  side: string;
  vector: string;
  basis: string;
  is_subspace: boolean;
  subtract: boolean;
  par_cos: number | null;
  par_se: number | null;
  perp_cos: number | null;
  perp_se: number | null;
  par_fraction: number;
  par_fraction_se: number | null;
}

interface HeadCosine {
  vector_a: string;
  vector_b: string;
  basis: string;
  par_cos: number | null;
  par_se: number | null;
  perp_cos: number | null;
  perp_se: number | null;
}

interface Nearest {
  side: string;
  name: string;
  pct: number;
  se: number | null;
  n: number;
  mean_cosine: number;
  places: number;
  top_cosine: number;
  random_cosine: number | null;
  key_first_pct: number | null;
  key_rank: number | null;
}

interface Substitution {
  side: string;
  vector: string;
  mean: number;
  se: number | null;
  n: number;
  mean_prob: number;
}

/** directions shows along which directions a head's score lies, beside random ones. */
export async function directions(c: Context): Promise<Child[]> {
  const projected = c.has("projections");
  const [shares, projections, between, substitutions] = await Promise.all([
    c.has("contributions") ? c.ask("basis_shares", { subtract: c.subtract }) : undefined,
    projected ? c.ask("projection_means") : undefined,
    projected ? c.ask("head_cosines") : undefined,
    c.has("contributions") ? c.ask("substitution_means", { subtract: c.subtract }) : undefined,
  ]);
  const list = shares ? supported(records<Share>(shares)) : [];
  return [
    heading(`Along which directions does head ${headName(c.head)} read?`, "How much of its score lies along a basis, where its vectors point, and how it would attend with another vector in place of its own."),
    h("div", { class: "tools" }, sideControls(c).slice(1)),
    list.length > 0 ? shareBars(c, list) : lacking(c.has("bases") ? c.lack("contributions") : c.lack("bases")),
    h(
      "div",
      { class: "columns" },
      substitutions && substitutions.rows.length > 0 ? substituted(c, supported(records<Substitution>(substitutions))) : lacking(substitutions?.notes[0] ?? "the run puts no other vector in place of the query or the key"),
      projected ? cosines(c, projections && records<Projection>(projections), between && records<HeadCosine>(between)) : lacking(c.lack("projections")),
    ),
    c.has("nearest") ? later(c, [["nearest_means", { most: 10 }]], 15, (answer) => nearest(c, records<Nearest>(answer))) : lacking(c.lack("nearest")),
    facts(c, { n: list[0]?.n, interval: "; of shares, to first order", subtracted: c.subtract, figure: list.length > 0 ? { name: "basis_shares", params: { subtract: c.subtract } } : undefined }),
  ];
}

function shareBars(c: Context, list: Share[]): HTMLElement {
  const sides = ["query", "key"].map((side) => list.filter((s) => s.side === side)).filter((l) => l.length > 0);
  const ends = list.flatMap((s) => [s.pct - half(s.se ?? 0), s.pct + half(s.se ?? 0), s.null_low ?? 0, s.null_high ?? 0]);
  const extent: [number, number] = [Math.min(0, ...ends), Math.max(0, ...ends)];
  return h(
    "section",
    { "aria-label": "Shares of bases" },
    h("h2", {}, "How much of the score lies along each basis"),
    h(
      "div",
      { class: "columns" },
      sides.map((own) => {
        const first = own[0] as Share;
        const band: [number, number] | undefined = first.null_low === null || first.null_high === null ? undefined : [first.null_low, first.null_high];
        return h(
          "div",
          {},
          bars(
            own.map((s) => ({ name: s.basis, value: s.pct, se: s.se, title: `${s.basis}: ${interval(s.pct, s.se)} %` })),
            { label: `Shares along bases of the ${first.side}`, heads: [`part of the ${first.side}`, "% of the score"], extent, band },
          ),
          h(
            "p",
            { class: "muted" },
            `Percent of the ${first.denominator_is}. `,
            band ? `The grey band has 95 % of the shares along ${first.null_n} random directions: ${fixed(band[0], 1)} to ${fixed(band[1], 1)} %.` : sentence(c.lack("nulls")),
          ),
        );
      }),
    ),
  );
}

/** nearest shows the tokens whose unembeddings are nearest to the map of each side, and what a random direction reaches. */
function nearest(c: Context, all: Nearest[]): HTMLElement {
  return h(
    "section",
    { "aria-label": "Nearest unembeddings" },
    h("h2", {}, "Nearest unembeddings"),
    h(
      "div",
      { class: "columns" },
      ["query", "key"].map((side) => {
        const list = all.filter((t) => t.side === side);
        const first = list[0];
        if (!first) return undefined;
        return h(
          "div",
          {},
          bars(
            list.map((t) => ({ name: t.name, value: t.pct, se: first.n < leastPrompts ? null : t.se, more: [fixed(t.mean_cosine, 3)], title: `${t.name}: ${fixed(t.pct, 1)} % of the ${c.noun}s, mean cosine ${fixed(t.mean_cosine, 3)}` })),
            { label: `Tokens nearest to the map of the ${side}`, heads: [`token, for the ${side}`, `% with it among the ${first.places} nearest`, "cosine"], extent: [0, 100] },
          ),
          h(
            "p",
            { class: "muted" },
            `Mean cosine of the map with its nearest token: ${fixed(first.top_cosine, 3)}; of a random direction: ${first.random_cosine === null ? "none" : fixed(first.random_cosine, 3)}. `,
            first.key_first_pct !== null && `The nearest is the key's own token in ${fixed(first.key_first_pct, 1)} % of the ${c.noun}s; its median place is ${fixed(first.key_rank ?? 0, 0)}.`,
          ),
        );
      }),
    ),
  );
}

function substituted(c: Context, list: Substitution[]): HTMLElement {
  const rows = (side: string): Bar[] =>
    list.filter((s) => s.side === side).map((s) => ({ name: s.vector, value: s.mean, se: s.se, more: [percent(s.mean_prob)], class: s.vector === "unpatched" ? "selected" : "", title: `${s.vector}: ${interval(s.mean, s.se)}` }));
  return h(
    "section",
    { "aria-label": "Other vectors" },
    ["query", "key"].filter((side) => rows(side).length > 0).map((side) => [
      h("h2", {}, `With another vector as ${side}`),
      bars(rows(side), { label: `Score with another ${side}`, heads: [`${side} is`, c.subtract ? "score difference" : "score", "attention"] }),
      h("br"),
    ]),
  );
}

function cosines(c: Context, projections: Projection[] = [], between: HeadCosine[] = []): HTMLElement {
  const whole: [number, number] = [-1, 1];
  const few = (c.run?.edges ?? 0) < leastPrompts;
  const own = projections.filter((p) => p.is_subspace && p.subtract === c.subtract);
  const fractions = projections.filter((p) => p.side === "query" && !p.subtract);
  const cosine = (name: string, par: number | null, parError: number | null, perp: number | null): Bar[] =>
    par === null ? [] : [{ name, value: par, se: few ? null : parError, more: [perp === null ? "–" : fixed(perp, 3)], title: `${name}: ${interval(par, few ? null : parError)}` }];
  return h(
    "section",
    { "aria-label": "Cosines" },
    own.length > 0 && [
      h("h2", {}, "Do vectors point along the map to the score?"),
      bars(own.flatMap((m) => cosine(`${m.vector} along ${m.basis}`, m.par_cos, m.par_se, m.perp_cos)), { label: "Cosines with the map to the score", heads: ["part of a vector", "cosine", "outside it"], extent: whole }),
      h("p", { class: "muted" }, "Cosine with the linear map from the vector to the score, the other side held fixed."),
    ],
    between.length > 0 && [
      h("h2", {}, "Do two heads write in the same direction?"),
      bars(between.flatMap((b) => cosine(`${b.vector_a}, ${b.vector_b} along ${b.basis}`, b.par_cos, b.par_se, b.perp_cos)), { label: "Cosines of two heads", heads: ["two heads", "cosine", "outside it"], extent: whole }),
      h("p", { class: "muted" }, "Outside it: the parts perpendicular to the basis. Along a single direction two parts have the cosine 1 or −1, so the mean says how often their signs agree."),
    ],
    fractions.length > 0 && [
      h("h2", {}, "How much of a head's output is along the unembedding?"),
      bars(fractions.map((f) => ({ name: `${f.vector} along ${f.basis}`, value: 100 * f.par_fraction, se: few || f.par_fraction_se === null ? null : 100 * f.par_fraction_se })), { label: "Fraction along the unembeddings", heads: ["output", "% of its square"] }),
    ],
  );
}
