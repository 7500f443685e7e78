// The editor of the SQL box: CodeMirror, in a bundle of its own that only that view loads.

import { acceptCompletion, autocompletion, type Completion, type CompletionContext, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { PostgreSQL, type SQLNamespace, sql } from "@codemirror/lang-sql";
import { HighlightStyle, bracketMatching, syntaxHighlighting } from "@codemirror/language";
import { EditorState } from "@codemirror/state";
import { EditorView, drawSelection, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import type { Schema } from "./backend.ts";

export interface Editor {
  text(): string;
  set(text: string): void;
  focus(): void;
}

export interface EditorOptions {
  text: string;
  label: string;
  schema: Schema;
  run: () => void;
  change: () => void;
}

// The colours are the page's: its custom properties also apply inside the shadow root.
const theme = EditorView.theme({
  "&": { fontSize: "13px", color: "var(--text)", backgroundColor: "var(--page)", border: "1px solid var(--line)", borderRadius: "5px" },
  "&.cm-focused": { outline: "2px solid var(--accent)" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.5", minHeight: "170px", maxHeight: "380px" },
  ".cm-content": { caretColor: "var(--ink)" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--accent-soft)" },
  ".cm-gutters": { backgroundColor: "var(--soft)", color: "var(--muted)", border: "none" },
  ".cm-tooltip": { backgroundColor: "var(--page)", color: "var(--text)", border: "1px solid var(--edge)" },
  ".cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "16em" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--accent-soft)", color: "var(--ink)" },
  ".cm-completionDetail": { color: "var(--muted)", fontStyle: "normal" },
  ".cm-completionInfo": { maxWidth: "46ch", whiteSpace: "pre-wrap", fontFamily: "var(--font)", padding: "6px 10px" },
});

const colors = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--accent)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--positive)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--negative)" },
  { tag: tags.comment, color: "var(--muted)" },
]);

/** mount creates an editor in its own shadow root, because the page's policy allows no style elements in the page. */
export function mount(parent: HTMLElement, o: EditorOptions): Editor {
  const root = parent.attachShadow({ mode: "open", delegatesFocus: true });
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: o.text,
      extensions: [
        lineNumbers(),
        history(),
        drawSelection(),
        bracketMatching(),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": o.label }),
        sql({ dialect: PostgreSQL, schema: namespace(o.schema), upperCaseKeywords: true }),
        PostgreSQL.language.data.of({ autocomplete: columnsAndMacros(o.schema) }),
        autocompletion({ icons: false, maxRenderedOptions: 60 }),
        syntaxHighlighting(colors),
        theme,
        keymap.of([
          { key: "Mod-Enter", run: () => (o.run(), true) },
          { key: "Tab", run: acceptCompletion },
          ...completionKeymap,
          ...historyKeymap,
          ...defaultKeymap,
        ]),
        EditorView.updateListener.of((u) => u.docChanged && o.change()),
      ],
    }),
  });
  return {
    text: () => view.state.doc.toString(),
    set: (text) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } }),
    focus: () => view.focus(),
  };
}

// namespace returns the tables and views with their columns and comments.
function namespace(schema: Schema): SQLNamespace {
  return Object.fromEntries(
    schema.tables.map((t) => [
      t.name,
      { self: completion(t.name, t.kind, t.comment), children: t.columns.map((c) => completion(c.name, c.type, c.comment)) },
    ]),
  );
}

function completion(label: string, detail: string, comment: string | null): Completion {
  return { label, detail: detail.length > 24 ? `${detail.slice(0, 23)}…` : detail, type: "property", ...(comment ? { info: comment } : {}) };
}

// columnsAndMacros completes macros everywhere, and columns if the text names their table.
function columnsAndMacros(schema: Schema) {
  const macros: Completion[] = schema.macros.map((m) => ({
    ...completion(m.name, `(${m.parameters.join(", ")})`, m.comment),
    apply: `${m.name}(`,
  }));
  return (context: CompletionContext) => {
    const word = context.matchBefore(/\w+/);
    if (!word || context.matchBefore(/\.\w*/)) return null;
    const text = context.state.doc.toString();
    const named = new Set([...text.matchAll(/\b(?:from|join)\s+"?(\w+)/gi)].map((m) => m[1]));
    const columns = schema.tables
      .filter((t) => named.has(t.name))
      .flatMap((t) => t.columns.map((c) => ({ ...completion(c.name, `${c.type} of ${t.name}`, c.comment), boost: 5 })));
    return { from: word.from, options: [...columns, ...macros], validFor: /^\w*$/ };
  };
}
