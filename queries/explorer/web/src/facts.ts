import type { Asked, Context } from "./context.ts";
import { type Answer, type Params, records } from "./backend.ts";
import { type Child, copy, h, save, toast } from "./dom.ts";
import { count, headName, leastPrompts, short } from "./numbers.ts";
import { format } from "./state.ts";

export interface Facts {
  /** number of prompts that the numbers are means over */
  n?: number | null | undefined;
  /** the smallest such number, if it varies between means */
  fewest?: number;
  /** whether the view has intervals, or a remark about them */
  interval?: boolean | string | undefined;
  subtracted?: boolean | undefined;
  bases?: boolean;
  /** the query and the parameters of the figure that ducklens plot draws */
  figure?: { name: string; params?: Params } | undefined;
  more?: Child;
}

/** facts returns the foot of a view: what its numbers are about, whether they add up, and their SQL. */
export function facts(c: Context, f: Facts): HTMLElement {
  const run = c.run;
  const items: [string, Child][] = [];
  if (run) items.push(["run", `${run.run}: ${run.model}, ${run.source}, ${run.convention} convention`]);
  if (f.n !== undefined && f.n !== null) items.push(["n", `${c.many(f.n)}${c.state["only"] ? ` with ${c.state["only"]}` : ""}`]);
  if (f.interval) items.push(["interval", interval(c, f)]);
  if (f.subtracted !== undefined) items.push(["baseline", f.subtracted ? `subtracted: score at the key less that of the baseline (${run?.baseline ?? "of each run"})` : "not subtracted: score at the key position"]);
  if (f.bases) items.push(["bases", `query ${c.queryBasis}, key ${c.keyBasis}${c.state["quadrant"] ? `, ${c.state["quadrant"]}` : ", quadrants added up"}`]);
  if (run) items.push(["closure", closure(c)]);
  if (f.more) items.push(["", f.more]);
  return h(
    "section",
    { class: "facts", "aria-label": "About these numbers" },
    h("dl", {}, items.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    f.figure && figures(c, f.figure),
    c.asked.filter((asked, i) => c.asked.findIndex((other) => other.query === asked.query && JSON.stringify(other.params) === JSON.stringify(asked.params)) === i).map((asked) => statement(c, asked)),
  );
}

function interval(c: Context, f: Facts): string {
  if ((f.fewest ?? f.n ?? leastPrompts) < leastPrompts) return `none: for fewer than ${leastPrompts} ${c.noun}s a normal interval is too narrow`;
  return `95 %, normal: mean ± 1.96 standard errors over ${c.noun}s${c.noun === "edge" ? ", taken as independent, which edges of one prompt are not: the true intervals may be wider" : ""}${typeof f.interval === "string" ? f.interval : ""}`;
}

function figures(c: Context, figure: { name: string; params?: Params }): HTMLElement | false {
  const plot = c.backend.plot;
  if (!plot) return false;
  const formats = c.backend.manifest.formats.filter((f) => ["svg", "png", "pdf", "html"].includes(f));
  return h(
    "p",
    { class: "figures" },
    "Save the figure as ducklens plot draws it: ",
    formats.map((format) =>
      h(
        "button",
        {
          type: "button",
          id: `save-${format}`,
          onclick: async () => {
            const { question, query } = c.question(figure.name, figure.params);
            try {
              save(await plot(question, format), `${query.name}-${headName(c.head)}.${format}`);
              toast(`Saved ${query.name}-${headName(c.head)}.${format}`);
            } catch (e) {
              toast(e instanceof Error ? e.message : String(e));
            }
          },
        },
        format.toUpperCase(),
      ),
    ),
  );
}

interface Closure {
  run_id: number;
  worst_residual: number;
  ok: boolean | null;
}

const closures = new Map<string, Promise<Closure[]>>(); // by file; it does not change

// closure says whether the parts add up. It asks once for each run.
function closure(c: Context): HTMLElement {
  const text = h("span", {}, "…");
  let known = closures.get(c.file.alias);
  if (!known) {
    known = c.backend.ask({ file: c.file.alias, name: "closure", params: {} }).then((answer) => records<Closure>(answer));
    known.catch(() => closures.delete(c.file.alias));
    closures.set(c.file.alias, known);
  }
  known.then(
    (list) => {
      const own = list.find((r) => r.run_id === c.run?.run);
      if (!own) return text.replaceChildren("the run has no scores");
      const verdict = own.ok === null ? "not judged, as the notebook convention leaves terms out" : own.ok ? "the parts add up" : "the parts do not add up";
      text.replaceChildren(`${verdict}: they are within ${short(own.worst_residual, 2)} of the model's own scores, at worst`);
    },
    (e) => text.replaceChildren(e instanceof Error ? e.message : String(e)),
  );
  return text;
}

/** statement shows the SQL of a question, to copy or to open in the SQL box. */
export function statement(c: Context, asked: Asked): HTMLElement {
  const given = Object.entries(asked.params).filter(([, value]) => value !== null);
  const state: Record<string, string> = { name: asked.query.name };
  for (const [name, value] of given) state[`p.${name}`] = String(value);
  const rows = h("span", { class: "muted" });
  const tell = (answer: Answer) => rows.replaceChildren(` ${count(answer.rows.length, "row")} in ${short(answer.seconds * 1000, 2)} ms`);
  if (asked.answer) tell(asked.answer);
  else asked.coming.then(tell, () => {}); // the part of the view that asked says what failed
  return h(
    "details",
    { class: "statement", id: `sql-${asked.query.name}` },
    h("summary", {}, "SQL of ", h("code", {}, asked.query.name), rows),
    h(
      "p",
      { class: "tools" },
      h("button", { type: "button", onclick: () => copy(asked.query.sql) }, "Copy"),
      h("a", { href: format({ view: "sql", ...(c.state["file"] ? { file: c.state["file"] } : {}), ...state }) }, "Open in the SQL box"),
      given.length > 0 && h("span", { class: "muted" }, given.map(([name, value]) => `$${name} = ${value}`).join(", ")),
    ),
    h("pre", { tabindex: "0" }, asked.query.sql),
  );
}
