import { records } from "../backend.ts";
import { bars } from "../bars.ts";
import type { Context } from "../context.ts";
import { heading, lacking, segments } from "../controls.ts";
import { type Child, h } from "../dom.ts";
import { facts } from "../facts.ts";
import { heatmap } from "../heatmap.ts";
import { headName, interval, short, supported } from "../numbers.ts";
import { type Part, cells } from "./components.ts";

interface Effect extends Part {
  panel: string;
}

/** writes shows what the head itself and all other components add to the logits. */
export async function writes(c: Context): Promise<Child[]> {
  const own = headName(c.head);
  const title = heading(`What does head ${own} write?`, "What each component adds at the query position to the logit of the key's token, through the final norm with its scale held fixed: its direct effect, and not what later components make of it.");
  if (!c.has("logits")) return [title, lacking(c.lack("logits")), facts(c, {})];
  const answer = await c.ask("direct_logit");
  const all = supported(records<Effect>(answer));
  const panels = [...new Set(all.map((e) => e.panel))];
  const panel = panels.find((p) => p === c.state["panel"]) ?? panels[0] ?? "";
  const list = all.filter((e) => e.panel === panel);
  const head = list.find((e) => e.component === own);
  if (list.length === 0) return [title, lacking(answer.notes[0] ?? "no prompt meets the conditions"), facts(c, {})];
  const ranked = [...list].sort((a, b) => Math.abs(b.mean) - Math.abs(a.mean)).slice(0, 12);
  if (head && !ranked.includes(head)) ranked.push(head);
  const describe = (e: { label: string; value: number; se?: number | null | undefined }) => `${e.label}: ${interval(e.value, e.se)}`;
  return [
    title,
    h("div", { class: "tools" }, panels.length > 1 && segments("Logit of", panels.map((p) => ({ value: p, text: p })), panel, (p) => c.link({ panel: p }))),
    head && h("p", { class: "note" }, `Head ${own} itself adds `, h("strong", {}, interval(head.mean, head.se)), ` to ${panel.includes("minus") ? "the difference of the two logits" : "the logit of the key's token"}: it writes ${head.mean < 0 ? "against" : "for"} what it attends to, on the mean of ${c.many(head.n)}.`),
    h(
      "div",
      { class: "columns snug" },
      heatmap(cells(list), { label: "Direct effects on logits", title: "mean effect on the logit", selected: own, describe }),
      h("section", { "aria-label": "Largest effects" }, h("h2", {}, "The largest"), bars(ranked.map((e) => ({ name: e.component, value: e.mean, se: e.se, class: e.component === own ? "selected" : "", title: describe({ label: e.component, value: e.mean, se: e.se }) })), { label: "Largest effects", heads: ["component", "mean"] }), h("p", { class: "muted" }, `Sum over components: ${short(list.reduce((sum, e) => sum + e.mean, 0))}.`)),
    ),
    facts(c, { n: list[0]?.n, interval: true, figure: { name: "direct_logit" } }),
  ];
}
