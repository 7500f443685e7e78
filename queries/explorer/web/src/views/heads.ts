import { records } from "../backend.ts";
import { bars } from "../bars.ts";
import type { Context } from "../context.ts";
import { choice, heading, segments } from "../controls.ts";
import { type Child, h } from "../dom.ts";
import { facts } from "../facts.ts";
import { decimals, fixed, headName, interval, short, supported } from "../numbers.ts";
import { scatter } from "../scatter.ts";

interface Head {
  head: string;
  mean: number;
  se: number | null;
  n: number;
  mean_prob: number;
  mean_baseline_prob: number | null;
  mean_diff_prob: number | null;
  mean_score: number;
  mean_diff: number | null;
}

const orders = [
  { value: "prob", text: "attention to the key", unit: "to the key", percent: true },
  { value: "diff_prob", text: "… less that to the baseline", unit: "difference", percent: true },
  { value: "score", text: "score of the key", unit: "score", percent: false },
  { value: "diff", text: "… less that of the baseline", unit: "score difference", percent: false },
];

const planes = [
  { value: "mean_prob", text: "attention to the key, %" },
  { value: "mean_baseline_prob", text: "attention to the baseline, %" },
  { value: "mean_diff_prob", text: "attention to the key less that to the baseline, %" },
  { value: "mean_score", text: "score of the key" },
  { value: "mean_diff", text: "score of the key less that of the baseline" },
];

const measures = ["previous", "first", "self", "duplicate", "induction", "entropy", "distance", "above"].map((value) => ({ value, text: value }));

/** heads shows the target heads of a run, as a list or as a scatter chart of two measures. */
export async function heads(c: Context): Promise<Child[]> {
  return c.has("measures") ? measured(c) : ranked(c);
}

const open = (c: Context, head: string) => c.link({ view: "components", head, component: undefined, example: undefined, low: undefined, high: undefined });

async function ranked(c: Context): Promise<Child[]> {
  const by = c.state["by"] ?? "prob";
  const order = orders.find((o) => o.value === by) ?? orders[0];
  const answer = await c.ask("top_heads", { by, most: 10_000 });
  const list = supported(records<Head>(answer));
  const places = decimals(list.map((v) => v.mean_diff), 3);
  // All probabilities are percentages with as many decimals.
  const probs = list.flatMap((v) => [v.mean_prob, v.mean_baseline_prob].map((p) => 100 * (p ?? 0)));
  const share = (p: number | null) => (p === null ? "–" : `${fixed(100 * p, Math.max(1, decimals(probs, 3)))} %`);
  const size = order?.percent ? 100 : 1;
  const value = (v: Head, of: string) => {
    const x = v[of as keyof Head];
    return typeof x === "number" && of.endsWith("prob") ? 100 * x : x;
  };
  const x = c.state["x"] ?? "mean_baseline_prob";
  const y = c.state["y"] ?? "mean_prob";
  const usable = planes.filter((p) => list.some((v) => v[p.value as keyof Head] !== null));
  const points = list.flatMap((v) => {
    const [px, py] = [value(v, x), value(v, y)];
    return typeof px === "number" && typeof py === "number"
      ? [{ x: px, y: py, name: headName(v.head), href: open(c, v.head), title: `${headName(v.head)}: ${short(px)}, ${short(py)}`, selected: v.head === c.state["head"] }]
      : [];
  });
  return [
    heading("Which heads attend from the query to the key?", `Mean over ${c.noun}s, with 95 % intervals. Choose a head to see what makes it attend there.`),
    h("div", { class: "tools" }, segments("Order by", orders.filter((o) => (c.run?.baselines ?? 0) > 0 || !o.value.startsWith("diff")), by, (value) => c.link({ by: value }))),
    h(
      "div",
      { class: "columns" },
      bars(
        list.map((v) => ({
          name: h("a", { href: open(c, v.head), id: `head-${v.head}` }, headName(v.head)),
          value: size * v.mean,
          se: v.se === null ? null : size * v.se,
          more: [by !== "prob" && share(v.mean_prob), share(v.mean_baseline_prob), by !== "diff" && fixed(v.mean_diff, places)].filter((m) => m !== false),
          title: `${headName(v.head)}: ${interval(size * v.mean, v.se === null ? null : size * v.se)}${order?.percent ? " %" : ""}`,
        })),
        { ...(order?.percent ? { unit: " %", places: Math.max(1, decimals(probs, 3)) } : {}), label: `Heads by ${order?.text}`, heads: ["head", order?.unit ?? "", ...(by === "prob" ? [] : ["to the key"]), "to the baseline", ...(by === "diff" ? [] : ["score difference"])] },
      ),
      points.length > 1 &&
        h(
          "div",
          {},
          h("div", { class: "tools" }, choice("Across", usable, x, (value) => c.go({ x: value })), choice("Upwards", usable, y, (value) => c.go({ y: value }))),
          scatter(points, { label: "Heads in the plane of two measures", x: planes.find((p) => p.value === x)?.text ?? x, y: planes.find((p) => p.value === y)?.text ?? y }),
        ),
    ),
    facts(c, { n: list[0]?.n, interval: true, figure: { name: "top_heads", params: { by } } }),
  ];
}

async function measured(c: Context): Promise<Child[]> {
  const x = c.state["x"] ?? "previous";
  const y = c.state["y"] ?? "induction";
  const answer = await c.ask("head_measures", { x, y });
  const list = records<{ head: string; across: number; up: number; n_x: number; n_y: number; x_title: string; y_title: string }>(answer);
  const words = list[0];
  return [
    heading("What do the heads do on these texts?", "Mean over all query positions of the run's texts. Choose a head to see what makes it attend."),
    h("div", { class: "tools" }, choice("Across", measures, x, (value) => c.go({ x: value })), choice("Upwards", measures, y, (value) => c.go({ y: value }))),
    h(
      "div",
      { class: "columns" },
      scatter(
        list.map((v) => ({ x: v.across, y: v.up, name: headName(v.head), href: open(c, v.head), title: `${headName(v.head)}: ${short(v.across)}, ${short(v.up)}`, selected: v.head === c.state["head"] })),
        { label: "Heads in the plane of two measures", x: words?.x_title ?? x, y: words?.y_title ?? y },
      ),
      bars(
        list.map((v) => ({ name: h("a", { href: open(c, v.head), id: `head-${v.head}` }, headName(v.head)), value: v.up, more: [v.across] })),
        { label: `Heads by ${words?.y_title ?? y}`, heads: ["head", y, x] },
      ),
    ),
    facts(c, { more: words ? `${words.n_x.toLocaleString("en")} query positions across, ${words.n_y.toLocaleString("en")} upwards` : undefined, figure: { name: "head_measures", params: { x, y } } }),
  ];
}
