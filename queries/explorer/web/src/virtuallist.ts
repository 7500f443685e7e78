import { h } from "./dom.ts";

/** virtualList shows the visible rows of a long list. Arrow keys, Page Up, Page Down, Home and End move in it. */
export function virtualList(length: number, rowHeight: number, label: string, row: (i: number) => HTMLElement): HTMLElement {
  const inner = h("div", { class: "rows", style: { height: `${length * rowHeight}px` } });
  const outer = h("div", { class: "list", role: "list", "aria-label": label, tabindex: length > 0 ? undefined : "0" }, inner);
  const shown = new Map<number, HTMLElement>();
  let active = 0;

  const draw = () => {
    const first = Math.max(0, Math.floor(outer.scrollTop / rowHeight) - 5);
    const last = Math.min(length - 1, Math.ceil((outer.scrollTop + (outer.clientHeight || 600)) / rowHeight) + 5);
    for (const [i, element] of shown) {
      if ((i < first || i > last) && i !== active) {
        element.remove();
        shown.delete(i);
      }
    }
    for (let i = first; i <= last; i++) show(i);
  };
  const show = (i: number) => {
    let element = shown.get(i);
    if (!element) {
      element = row(i);
      element.style.setProperty("top", `${i * rowHeight}px`);
      if (element.getAttribute("role") === "row") {
        element.setAttribute("aria-rowindex", String(i + 2)); // the first is that of the heads
      } else {
        element.setAttribute("aria-setsize", String(length));
        element.setAttribute("aria-posinset", String(i + 1));
      }
      element.tabIndex = i === active ? 0 : -1;
      shown.set(i, element);
      inner.append(element);
    }
    return element;
  };
  const walk = (e: KeyboardEvent) => {
    const page = Math.max(1, Math.floor(outer.clientHeight / rowHeight) - 1);
    const to: Record<string, number> = { ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page, Home: 0, End: length - 1 };
    const wanted = to[e.key];
    if (wanted === undefined || length === 0) return;
    e.preventDefault();
    const before = shown.get(active);
    if (before) before.tabIndex = -1;
    active = Math.min(length - 1, Math.max(0, wanted));
    const element = show(active);
    element.tabIndex = 0;
    element.focus({ preventScroll: true });
    if (active * rowHeight < outer.scrollTop) outer.scrollTop = active * rowHeight;
    else if ((active + 1) * rowHeight > outer.scrollTop + outer.clientHeight) outer.scrollTop = (active + 1) * rowHeight - outer.clientHeight;
  };
  outer.addEventListener("scroll", draw, { passive: true });
  outer.addEventListener("keydown", walk);
  draw();
  requestAnimationFrame(draw);
  return outer;
}
