import type { Answer, Params } from "./backend.ts";
import type { Context } from "./context.ts";
import { failed } from "./controls.ts";
import { type Child, append, h } from "./dom.ts";

/**
 * later returns a part of a view that is asked for when the rest is there, and put up when its answers are. If all of them are
 * remembered, it is there at once. rows says how much room it is given until then.
 */
export function later(c: Context, questions: [name: string, settings: Params][], rows: number, show: (...answers: Answer[]) => Child): Child {
  const from = c.asked.length;
  const coming = questions.map(([name, settings]) => c.ask(name, settings));
  const known = c.asked.slice(from).flatMap((asked) => asked.answer ?? []);
  if (known.length === questions.length) return show(...known);
  const place = h("div", { class: "later", "aria-busy": "true", style: { "min-height": `${24 * rows}px` } }, h("p", { class: "muted" }, "…"));
  const put = (child: Child) => {
    const whole = document.createDocumentFragment();
    append(whole, [child]);
    place.replaceWith(whole);
  };
  Promise.all(coming).then(
    (answers) => put(show(...answers)),
    (e) => c.signal.aborted || put(failed(e)),
  );
  return place;
}
