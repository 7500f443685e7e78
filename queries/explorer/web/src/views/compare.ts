import { Failure, type Params, type Run, records } from "../backend.ts";
import { bars } from "../bars.ts";
import { Context } from "../context.ts";
import { choice, heading, id, lacking } from "../controls.ts";
import { type Child, h } from "../dom.ts";
import { facts } from "../facts.ts";
import { type Cell, heatmap, scaleLimit } from "../heatmap.ts";
import { headName, interval, supported } from "../numbers.ts";
import { change } from "../state.ts";
import { type Part, basisControls, cells, settings, sideControls } from "./components.ts";

/** compare sets two files, runs, heads or sets of prompts side by side, on one scale, with their difference. */
export async function compare(c: Context): Promise<Child[]> {
  const sets = twoSets(c);
  if (Object.keys(sets).length > 0) {
    location.replace(c.link(sets)); // which draws the view anew
    return [];
  }
  const other = second(c);
  const [a, b] = await Promise.all([parts(c), parts(other)]);
  const title = heading("How do two differ?", "The same heatmap of two heads, files, runs or sets of prompts, on one colour scale, and the first less the second.");
  const tools = [h("div", { class: "tools" }, sideControls(c), basisControls(c)), h("div", { class: "tools" }, h("span", { class: "muted" }, `First: ${name(c)}. Second:`), secondControls(c, other))];
  if (!a || !b || a.length === 0 || b.length === 0) return [title, ...tools, lacking(`${a?.length ? "the second" : "the first"} has no contributions for these bases and prompts`), facts(c, {})];
  const limit = Math.max(scaleLimit(cells(a)), scaleLimit(cells(b)));
  const d = difference(a, b);
  const ranked = [...d].sort((x, y) => Math.abs(y.mean) - Math.abs(x.mean)).slice(0, 12);
  const panel = (of: Context, heading: string, list: Part[], key: string, n: number, link?: (cell: Cell) => string) =>
    h(
      "section",
      { "aria-label": heading },
      h("h2", {}, heading),
      h("p", { class: "muted" }, n > 0 ? of.many(n) : "the first less the second"),
      heatmap(cells(list), { label: key, limit, title: "", bare: true, describe: (cell) => `${cell.label}: ${interval(cell.value, cell.se)}`, ...(link ? { href: link } : {}) }),
    );
  return [
    title,
    ...tools,
    h(
      "div",
      { class: "three", style: { "--least": least(a) } },
      panel(c, name(c), a, "first", a[0]?.n ?? 0, (cell) => c.link({ view: "cell", component: cell.label })),
      panel(other, name(other), b, "second", b[0]?.n ?? 0, (cell) => other.link({ view: "cell", component: cell.label })),
      panel(c, "Difference", d, "difference", 0),
    ),
    h(
      "section",
      { "aria-label": "Largest differences" },
      h("h2", {}, "Where they differ most"),
      bars(
        ranked.map((p) => ({
          name: p.component,
          value: p.mean,
          se: p.se,
          more: [a.find((x) => x.component === p.component)?.mean, b.find((x) => x.component === p.component)?.mean],
          title: `${p.component}: ${interval(p.mean, p.se)}`,
        })),
        { label: "Largest differences", heads: ["component", "difference", "first", "second"] },
      ),
      h("p", { class: "muted" }, `Intervals of the difference take the ${c.noun}s of the two as independent; where both have the same ${c.noun}s they are wider than need be.`),
    ),
    facts(c, { fewest: Math.min(a[0]?.n ?? 0, b[0]?.n ?? 0), interval: true, subtracted: c.subtract, bases: true }),
  ];
}

/** twoSets returns two sets of prompts to start with if a run has one head: those that differ in its first label. */
export function twoSets(c: Context): Record<string, string> {
  const label = c.run?.fields.find((f) => f.distinct_values > 1 && f.distinct_values < 7);
  const chosen = c.state["file2"] || c.state["run2"] || c.state["head2"] || c.state["only2"] || c.state["only"];
  if (!label || chosen || (c.run?.heads.length ?? 0) !== 1) return {};
  return { only: `${label.name}=${label.values[0]}`, only2: `${label.name}=${label.values[1]}` };
}

// least returns the width that a panel needs for numbers in its cells: where three are too narrow for them, two stand side by side. Cells
// in more than 18 columns have none.
function least(list: Part[]): string {
  const columns = new Set(list.map((p) => p.grid_column)).size;
  return columns > 18 ? "0px" : `${Math.min(560, 60 + 40 * columns)}px`;
}

// second returns the context of the second panel: settings that end in 2 in the address, else those of the first.
function second(c: Context): Context {
  const named = c.backend.manifest.files.find((f) => f.alias === c.state["file2"]);
  if (c.state["file2"] && !named) throw new Failure(`no file ${c.state["file2"]} is open`, "");
  const file = named ?? c.file;
  const moved = file !== c.file;
  const asked = file.runs.find((r) => String(r.run) === c.state["run2"]);
  if (c.state["run2"] && !asked) throw new Failure(`${file.name} has no run ${c.state["run2"]}`, "");
  const run: Run | undefined = asked ?? (moved ? file.runs.find((r) => r.run === file.latest) : c.run);
  const head = c.state["head2"] ?? (moved || run !== c.run ? (run?.heads.includes(c.head) ? c.head : run?.heads[0]) : neighbour(run, c.head)) ?? c.head;
  const only = c.state["only2"] ?? c.state["only"];
  return new Context(c.backend, change(c.state, { file: file.alias, run: run ? String(run.run) : undefined, head, only: only === "*" ? undefined : only }), file, run, c.signal, c.asked);
}

// neighbour returns the head that is nearest to another, if possible in the same layer: heads of other layers share fewer components.
function neighbour(run: Run | undefined, head: string): string | undefined {
  const place = (label: string) => (label.match(/\d+/g) ?? []).map(Number) as [number, number];
  const [layer, index] = place(head);
  const far = (label: string) => Math.abs(place(label)[0] - layer) * 1e6 + Math.abs(place(label)[1] - index);
  return run?.heads.filter((label) => label !== head).sort((a, b) => far(a) - far(b))[0];
}

async function parts(c: Context): Promise<Part[] | undefined> {
  if (!c.has("contributions")) return undefined;
  const own: Params = settings(c);
  return supported(records<Part>(await c.ask("components", own)));
}

function secondControls(c: Context, other: Context): HTMLElement[] {
  const list: HTMLElement[] = [];
  const { files } = c.backend.manifest;
  if (files.length > 1) list.push(choice("File 2", files.map((f) => ({ value: f.alias, text: f.name })), other.file.alias, (file2) => c.go({ file2, run2: undefined, head2: undefined })));
  if (other.file.runs.length > 1) list.push(choice("Run 2", other.file.runs.map((r) => ({ value: String(r.run), text: `${r.run}: ${r.model}` })), String(other.run?.run), (run2) => c.go({ run2, head2: undefined })));
  list.push(choice("Head 2", (other.run?.heads ?? []).map((label) => ({ value: label, text: headName(label) })), other.head, (head2) => c.go({ head2 })));
  list.push(
    h(
      "label",
      { class: "choice" },
      h("span", {}, "Prompts 2"),
      h("input", { id: id("only2"), list: "only2-values", value: other.state["only"] ?? "", placeholder: "all, or FIELD=VALUE", size: "24", onchange: (e: Event) => c.go({ only2: (e.target as HTMLInputElement).value || "*" }) }),
      h("datalist", { id: "only2-values" }, (other.run?.fields ?? []).flatMap((f) => f.values.slice(0, 20).map((v) => h("option", { value: `${f.name}=${v}` })))),
    ),
  );
  return list;
}

function name(c: Context): string {
  return [c.backend.manifest.files.length > 1 && c.file.name, c.file.runs.length > 1 && c.run && `run ${c.run.run}`, `head ${headName(c.head)}`, c.state["only"]].filter(Boolean).join(", ");
}

function difference(a: Part[], b: Part[]): Part[] {
  const other = new Map(b.map((p) => [p.component, p]));
  return a.flatMap((p) => {
    const q = other.get(p.component);
    if (!q) return [];
    const se = p.se === null || q.se === null ? null : Math.hypot(p.se, q.se);
    return [{ ...p, mean: p.mean - q.mean, se }];
  });
}
