import { type Answer, type Params, type Parameter, type Question, type SavedQuery, type Value } from "../backend.ts";
import { chart } from "../chart.ts";
import type { Context } from "../context.ts";
import { choice, failed, heading, id } from "../controls.ts";
import { type Child, copy, h, save, toast } from "../dom.ts";
import type { Editor } from "../editor.ts";
import { facts } from "../facts.ts";
import { withDefaults } from "../literals.ts";
import { count, headName, short } from "../numbers.ts";
import { format } from "../state.ts";
import { table } from "../table.ts";

const rowsShown = 10_000;
const example = "SELECT component, mean_score, mean_diff, se_diff, n\nFROM heatmap(side := 'key')\nORDER BY abs(mean_diff) DESC NULLS LAST\nLIMIT 20";

/** sql runs SQL of the user, or a saved query with its parameters. */
export async function sql(c: Context): Promise<Child[]> {
  const box = new Box(c);
  return box.elements();
}

// body returns the statement of a saved query without its header, which the page shows in another form.
const body = (query: SavedQuery | undefined) => query?.sql.replace(/^(?:--[^\n]*\n|\s*\n)+/, "").trimEnd();

// A Box is the SQL box. It stays while the user runs one question after another, and the address changes with them.
class Box {
  private readonly results = h("section", { class: "results", "aria-label": "Answer", "aria-live": "polite" });
  private readonly controls = h("div", { class: "parameters" });
  private readonly host = h("div", { class: "editor" });
  private readonly cancel = h("button", { type: "button", id: "cancel", disabled: true, onclick: () => this.running?.abort() }, "Cancel");
  private editor: Editor | undefined;
  private running: AbortController | undefined;
  private query: SavedQuery | undefined;
  private values: Record<string, string> = {};
  private parameters: Parameter[] = [];

  constructor(private readonly c: Context) {
    this.query = c.state["name"] ? c.query(c.state["name"]) : undefined;
    for (const [key, value] of Object.entries(c.state)) if (key.startsWith("p.") && value !== undefined) this.values[key.slice(2)] = value;
    c.signal.addEventListener("abort", () => this.running?.abort());
  }

  elements(): Child[] {
    const text = this.c.state["q"] ?? body(this.query) ?? example;
    void this.mount(text);
    this.drawControls(text);
    const groups: [string, SavedQuery[]][] = [
      ["Saved in this file", this.c.file.saved],
      ["Saved queries of ducklens", this.c.backend.manifest.saved],
      ["Statements of these views", this.c.backend.manifest.statements],
    ];
    const saved = h(
      "select",
      { id: "saved", onchange: (e: Event) => this.choose((e.target as HTMLSelectElement).value) },
      h("option", { value: "" }, "your own"),
      groups.filter(([, list]) => list.length > 0).map(([label, list]) =>
        h("optgroup", { label }, list.map((q) => h("option", { value: q.name, selected: q.name === this.query?.name && !this.c.state["q"], title: q.title }, q.name))),
      ),
    );
    if (this.c.state["name"] || this.c.state["q"]) queueMicrotask(() => void this.run(text));
    return [
      heading("Ask in SQL", ["Read only, in DuckDB's dialect. Ctrl+Enter runs; completion knows tables, columns and macros, with what they mean. A name with $ before it becomes a field."]),
      h("div", { class: "tools" }, h("label", { class: "choice" }, h("span", {}, "Query"), saved), h("span", { class: "muted about-query" }, this.query?.title ?? "")),
      this.query?.description && h("p", { class: "muted description" }, this.query.description),
      this.host,
      this.controls,
      h(
        "div",
        { class: "tools" },
        h("button", { type: "button", id: "run", class: "primary", onclick: () => void this.run() }, "Run"),
        this.cancel,
        this.c.backend.tables.map((f) => h("button", { type: "button", id: `as-${f}`, onclick: () => void this.download(f) }, f === "csv" ? "CSV" : "Parquet")),
        h("button", { type: "button", onclick: () => copy(this.text()) }, "Copy SQL"),
        h("button", { type: "button", onclick: () => copy(location.href) }, "Copy link"),
      ),
      this.results,
      facts(this.c, this.query && this.query.chart !== "table" ? { figure: { name: this.query.name, params: this.params() } } : {}),
    ];
  }

  private async mount(text: string): Promise<void> {
    const fallback = h("textarea", { id: "sql-text", rows: "10", spellcheck: "false", "aria-label": "SQL" }, text);
    fallback.value = text;
    this.host.append(fallback);
    try {
      const module = "./editor.js";
      const [{ mount }, schema] = await Promise.all([import(module) as Promise<typeof import("../editor.ts")>, this.c.backend.schema(this.c.file.alias)]);
      const box = h("div", {});
      this.editor = mount(box, { text: fallback.value, label: "SQL", schema, run: () => void this.run(), change: () => this.drawControls(this.text()) });
      this.host.replaceChildren(box);
      if (document.activeElement === document.body) this.editor.focus();
    } catch (e) {
      toast(`The editor is a plain field: ${e instanceof Error ? e.message : e}`);
    }
  }

  private text(): string {
    return this.editor?.text() ?? this.host.querySelector("textarea")?.value ?? this.c.state["q"] ?? body(this.query) ?? "";
  }

  private choose(name: string): void {
    location.hash = format({ view: "sql", file: this.c.state["file"], name: name || undefined } as never);
  }

  // drawControls creates a field for each parameter that a saved query declares, or that the text of other SQL names.
  private drawControls(text: string): void {
    const declared = new Map((this.query?.parameters ?? []).map((p) => [p.name, p]));
    const bare = text.replace(/'(?:[^']|'')*'|--[^\n]*/g, "");
    const named = new Set([...bare.matchAll(/\$([a-z_]\w*)/gi)].map((m) => m[1] as string));
    const names = [...new Set([...declared.keys(), ...named])].filter((name) => named.has(name));
    const list = names.map((name): Parameter => declared.get(name) ?? { name, type: "", default: null, about: "" });
    if (list.map((p) => p.name).join() === this.parameters.map((p) => p.name).join() && this.controls.childElementCount > 0) return;
    this.parameters = list;
    this.controls.replaceChildren(...list.map((p) => this.control(p)));
  }

  private control(p: Parameter): HTMLElement {
    const value = this.values[p.name] ?? (p.default === null ? "" : String(p.default));
    const set = (value: string) => {
      this.values[p.name] = value;
    };
    const options = this.options(p);
    if (options) {
      const control = choice(p.name, options, value, set);
      control.title = p.about;
      return control;
    }
    return h(
      "label",
      { class: "choice", title: p.about },
      h("span", {}, p.name),
      h("input", { id: id("p", p.name), value, placeholder: p.default === null ? "NULL" : String(p.default), size: "12", oninput: (e: Event) => set((e.target as HTMLInputElement).value) }),
    );
  }

  private options(p: Parameter): { value: string; text: string }[] | undefined {
    const run = this.c.run;
    const plain = (list: string[]) => list.map((value) => ({ value, text: value }));
    const unset = p.default === null ? [{ value: "", text: "NULL" }] : [];
    if (p.type === "BOOLEAN") return [...unset, ...plain(["true", "false"])];
    if (p.name === "head" && run) return [...unset, ...run.heads.map((value) => ({ value, text: headName(value) }))];
    if (p.name === "run") return [...unset, ...plain(this.c.file.runs.map((r) => String(r.run)))];
    if (p.name === "side" || p.name === "within_side") return plain(["query", "key"]);
    if ((p.name === "component" || p.name === "within" || p.name.endsWith("_component")) && run) return [...unset, ...plain(run.components)];
    if (p.name === "quadrant") return [...unset, ...plain(["par_par", "par_perp", "perp_par", "perp_perp"])];
    if (p.name === "query_basis" && run) return [...unset, ...plain(run.bases.query.map((b) => b.name))];
    if (p.name === "key_basis" && run) return [...unset, ...plain(run.bases.key.map((b) => b.name))];
    return undefined;
  }

  private params(): Params {
    const typed = (p: Parameter): Value => {
      const text = this.values[p.name];
      if (text === undefined) return p.default;
      if (text === "") return p.type === "TEXT" && p.default !== null ? "" : null;
      if (p.type === "BOOLEAN") return text === "true";
      if (p.type === "INTEGER" || p.type === "DOUBLE" || (p.type === "" && text.trim() !== "" && !Number.isNaN(Number(text)))) return Number(text);
      return text;
    };
    return withDefaults(this.parameters, Object.fromEntries(this.parameters.map((p) => [p.name, typed(p)])) as Params);
  }

  private question(text: string): Question {
    const file = this.c.file.alias;
    const unchanged = this.query && text === body(this.query);
    return unchanged ? { file, name: this.query?.name ?? "", params: this.params() } : { file, sql: text, params: this.params() };
  }

  private async run(text = this.text()): Promise<void> {
    this.remember(text);
    this.running?.abort();
    const running = new AbortController();
    this.running = running;
    this.cancel.disabled = false;
    this.results.setAttribute("aria-busy", "true");
    try {
      const answer = await this.c.backend.ask({ ...this.question(text), limit: rowsShown }, running.signal);
      this.results.replaceChildren(...this.shown(answer));
    } catch (e) {
      const stopped = running.signal.aborted;
      if (stopped && this.running !== running) return;
      this.results.replaceChildren(failed(stopped ? "The query was cancelled." : e));
    } finally {
      if (this.running === running) {
        this.cancel.disabled = true;
        this.results.setAttribute("aria-busy", "false");
      }
    }
  }

  // remember puts the question into the address without drawing the view again.
  private remember(text: string): void {
    const state: Record<string, string | undefined> = { file: this.c.state["file"], name: this.query?.name };
    if (text !== body(this.query)) state["q"] = text;
    for (const p of this.parameters) if (this.values[p.name]) state[`p.${p.name}`] = this.values[p.name];
    const hash = format({ view: "sql", ...state } as never);
    if (hash !== location.hash) history.pushState(null, "", hash);
  }

  private shown(answer: Answer): Node[] {
    const about = `${count(answer.rows.length, "row")}${answer.truncated ? ", the first of more" : ""} in ${short(answer.seconds * 1000, 2)} ms`;
    return [
      h("p", { class: "muted" }, about, answer.notes.map((n) => [h("br"), n])),
      answer.rows.length > 0 ? table(answer) : h("p", { class: "lacking" }, answer.notes[0] ?? "The answer has no rows."),
      ...chart(answer, this.query),
    ];
  }

  private async download(as: string): Promise<void> {
    try {
      save(await this.c.backend.table(this.question(this.text()), as), `${this.query?.name ?? "answer"}.${as}`);
    } catch (e) {
      toast(e instanceof Error ? e.message : String(e));
    }
  }
}
