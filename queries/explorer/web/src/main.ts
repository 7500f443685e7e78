import { type Backend, type File, Failure, type Run } from "./backend.ts";
import { Context } from "./context.ts";
import { choice, failed, id } from "./controls.ts";
import { type Child, append, h } from "./dom.ts";
import { count, headName } from "./numbers.ts";
import { onSchemeChange } from "./palette.ts";
import { server } from "./server.ts";
import { type State, type View, change, format, parse, views } from "./state.ts";
import { cell } from "./views/cell.ts";
import { compare, twoSets } from "./views/compare.ts";
import { components } from "./views/components.ts";
import { directions } from "./views/directions.ts";
import { heads } from "./views/heads.ts";
import { pairs } from "./views/pairs.ts";
import { prompt } from "./views/prompt.ts";
import { sql } from "./views/sql.ts";
import { writes } from "./views/writes.ts";

type Show = (c: Context) => Promise<Child[]>;

const shows: Record<View, Show> = { heads, components, cell, prompt, pairs, directions, writes, sql, compare };

/** parents maps each view to the one that Escape leads to. */
const parents: Record<View, View | undefined> = {
  heads: undefined, components: "heads", cell: "components", prompt: "cell", pairs: "cell",
  directions: "components", writes: "components", sql: undefined, compare: "components",
};

let running: AbortController | undefined;
let shownView = "";

async function start(): Promise<void> {
  const backend = await connect();
  const render = () => void show(backend);
  window.addEventListener("hashchange", render);
  onSchemeChange(render);
  document.addEventListener("keydown", (e) => escape(e));
  if (!location.hash) history.replaceState(null, "", format(home(backend)));
  render();
}

async function connect(): Promise<Backend> {
  if (document.documentElement.dataset["mode"] !== "export") return server();
  const module = "./wasm.js";
  return ((await import(module)) as typeof import("./wasm.ts")).wasm();
}

/** home returns the first view: the components of the only head, or the list of heads. */
function home(backend: Backend): State {
  const run = latest(backend.manifest.files[0]);
  const one = run?.heads.length === 1 && !run.lacks.some((l) => l.what === "contributions");
  return { view: one ? "components" : "heads" };
}

const latest = (file: File | undefined): Run | undefined => file?.runs.find((r) => r.run === file.latest) ?? file?.runs.at(-1);

async function show(backend: Backend): Promise<void> {
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  const state = parse(location.hash);
  const main = document.getElementById("main") as HTMLElement;
  const named = backend.manifest.files.find((f) => f.alias === state["file"]);
  const file = named ?? backend.manifest.files[0];
  if (!file) return fail(main, new Failure("no file is open", "ducklens explore FILE"));
  const asked = file.runs.find((r) => String(r.run) === state["run"]);
  const run = asked ?? latest(file);
  const c = new Context(backend, state, file, run, signal);

  main.setAttribute("aria-busy", "true");
  const slow = window.setTimeout(() => main.classList.add("slow"), 150);
  try {
    if (state["file"] && !named) throw new Failure(`no file ${state["file"]} is open`, `Open here: ${backend.manifest.files.map((f) => f.alias).join(", ")}.`);
    if (state["run"] && !asked) throw new Failure(`${file.name} has no run ${state["run"]}`, `Its runs: ${file.runs.map((r) => r.run).join(", ")}.`);
    if (run?.fault) throw new Failure(run.fault.message, run.fault.hint);
    if (state.view && !(views as readonly string[]).includes(state.view)) throw new Failure(`there is no view ${state.view}`, `Views: ${views.join(", ")}.`);
    const view = (state.view as View) || "heads";
    const nodes = await shows[view](c);
    if (signal.aborted) return;
    const focused = document.activeElement?.id;
    const scrolled = window.scrollY;
    header(c, view);
    main.replaceChildren();
    append(main, nodes);
    document.title = `${document.getElementById("title")?.textContent ?? view} – ducklens`;
    settle(view, focused, scrolled);
  } catch (e) {
    if (signal.aborted) return;
    header(c, state.view as View);
    fail(main, e);
  } finally {
    window.clearTimeout(slow);
    if (!signal.aborted) {
      main.classList.remove("slow");
      main.setAttribute("aria-busy", "false");
    }
  }
}

/** settle restores the focus, or puts it on the title of a new view. */
function settle(view: string, focused: string | undefined, scrolled: number): void {
  const again = focused ? document.getElementById(focused) : null;
  if (again) again.focus({ preventScroll: true });
  if (view === shownView) {
    window.scrollTo(0, scrolled);
  } else {
    window.scrollTo(0, 0);
    if (shownView && !again) document.getElementById("title")?.focus({ preventScroll: true });
  }
  shownView = view;
}

function fail(main: HTMLElement, e: unknown): void {
  main.setAttribute("aria-busy", "false");
  document.title = "That did not work – ducklens";
  main.replaceChildren(failed(e, h("h1", { id: "title", tabindex: "-1" }, "That did not work")));
}

/** escape goes one level up. */
function escape(e: KeyboardEvent): void {
  const target = e.target as HTMLElement;
  if (e.key !== "Escape" || e.defaultPrevented || target.closest("input, select, textarea, .editor")) return;
  const state = parse(location.hash);
  const parent = parents[state.view as View];
  if (parent) location.hash = format(change(state, { view: parent }));
}

function header(c: Context, view: View): void {
  const { manifest } = c.backend;
  const controls: HTMLElement[] = [];
  const restart = { head: undefined, component: undefined, example: undefined, only: undefined, qb: undefined, kb: undefined, quadrant: undefined, low: undefined, high: undefined, within: undefined };
  if (manifest.files.length > 1) {
    controls.push(choice("File", manifest.files.map((f) => ({ value: f.alias, text: f.name })), c.state["file"] ?? c.file.alias, (file) => c.go({ ...restart, view: "heads", file, run: undefined })));
  }
  if (c.file.runs.length > 1) {
    controls.push(
      choice("Run", c.file.runs.map((r) => ({ value: String(r.run), text: `${r.run}: ${r.model}` })), c.state["run"] ?? String(c.run?.run), (run) => c.go({ ...restart, view: "heads", run })),
    );
  }
  const list = c.run?.heads ?? [];
  if (list.length > 0) {
    controls.push(choice("Head", list.map((label) => ({ value: label, text: headName(label) })), c.head, (head) => c.go({ head, low: undefined, high: undefined })));
  }
  controls.push(...filter(c));

  // A set of prompts that was chosen for comparison must not stay as a filter of other views.
  const leaving = view === "compare" && c.state["only2"] ? { only: undefined } : {};
  const present = (name: View) => (name === view ? "page" : undefined);
  const to = (name: View, text: string, settings: Record<string, string | undefined> = {}) =>
    h("a", { href: c.link({ view: name, ...(name === "compare" ? {} : leaving), ...settings }), id: id("nav", name), "aria-current": present(name) }, text);
  const component = c.state["component"];
  const example = c.state["example"];
  document.getElementById("header")?.replaceChildren(
    h(
      "div",
      { class: "top" },
      h("a", { class: "brand", href: format({ view: "heads" }) }, "ducklens"),
      h("span", { class: "file muted", title: c.file.name }, [manifest.files.length === 1 && c.file.name, c.run && `${c.run.model}, ${count(c.run.prompts ?? 0, "prompt")}${c.noun === "edge" ? `, ${count(c.run.edges ?? 0, "edge")}` : ""}`].filter(Boolean).join(" · ")),
      h("div", { class: "controls" }, controls),
    ),
    h(
      "nav",
      { "aria-label": "Views" },
      h(
        "span",
        { class: "path" },
        to("heads", "Heads"),
        list.length > 0 && [" › ", to("components", `Head ${headName(c.head)}`)],
        component && [" › ", to("cell", `${component}, ${c.side} side`)],
        example && [" › ", to("prompt", `${c.Noun} ${example}`)],
      ),
      h("span", { class: "aside" }, to("pairs", "Pairs"), to("directions", "Directions"), to("writes", "What it writes"), to("compare", "Compare", view === "compare" ? {} : twoSets(c)), to("sql", "SQL")),
    ),
  );
}

/** filter returns the control that chooses prompts by the value of a field. */
function filter(c: Context): HTMLElement[] {
  const fields = c.run?.fields ?? [];
  if (fields.length === 0) return [];
  const [, name = c.state["field"] ?? "", value = ""] = c.state["only"]?.match(/^([^=]*)=(.*)$/s) ?? [];
  const field = fields.find((f) => f.name === name);
  const list = [choice("Prompts", [{ value: "", text: "all" }, ...fields.map((f) => ({ value: f.name, text: f.name }))], name, (field) => c.go({ field: field || undefined, only: undefined }))];
  if (field) {
    const values = id("values", field.name);
    list.push(
      h(
        "label",
        { class: "choice" },
        h("span", {}, "is"),
        h("input", { id: id("only"), list: values, value, placeholder: "value", size: "16", onchange: (e: Event) => {
          const text = (e.target as HTMLInputElement).value;
          c.go({ field: text ? undefined : field.name, only: text ? `${field.name}=${text}` : undefined });
        } }),
        h("datalist", { id: values }, field.values.map((v) => h("option", { value: v }))),
      ),
    );
  }
  return list;
}

start().catch((e) => fail(document.getElementById("main") as HTMLElement, e));
