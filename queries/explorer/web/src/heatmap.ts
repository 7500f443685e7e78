import { h } from "./dom.ts";
import { short } from "./numbers.ts";
import { diverging, gradient, on } from "./palette.ts";

export interface Cell {
  row: number;
  column: number;
  rowName: string;
  columnName: string;
  label: string;
  value: number;
  se?: number | null;
  n?: number;
}

export interface HeatmapOptions {
  label: string;
  /** a text about the numbers of all cells */
  about?: string;
  limit?: number;
  title: string;
  /** the text in the corner between the names of rows and columns */
  corner?: string;
  /** cells show values without names */
  bare?: boolean;
  href?: (cell: Cell) => string;
  selected?: string;
  describe: (cell: Cell) => string;
}

const bias = /^b_[A-Za-z]+[0-9]*$/;
const dwarfing = 2; // a bias that is so many times larger than all else is set apart, as in print

/** scaleLimit returns the end of the colour scale. As in package figure, a bias much larger than all else is beyond it. */
export function scaleLimit(cells: Cell[]): number {
  const size = (c: Cell) => Math.abs(c.value);
  const others = Math.max(0, ...cells.filter((c) => !bias.test(c.label)).map(size));
  const biases = Math.max(0, ...cells.filter((c) => bias.test(c.label)).map(size));
  const limit = others === 0 || biases <= dwarfing * others ? Math.max(others, biases) : others;
  return limit || 1;
}

/** heatmap returns a grid of cells. Arrow keys move between them. */
export function heatmap(cells: Cell[], o: HeatmapOptions): HTMLElement {
  const limit = o.limit ?? scaleLimit(cells);
  const rows = distinct(cells.map((c) => c.row));
  const columns = distinct(cells.map((c) => c.column));
  const columnName = new Map(cells.filter((c) => c.columnName).map((c) => [c.column, c.columnName]));
  const rowName = new Map(cells.map((c) => [c.row, c.rowName]));
  const at = new Map(cells.map((c) => [`${c.row} ${c.column}`, c]));
  const narrow = columns.length > 18;
  const low = rows.length > 9; // lines are lower, and have no names, where there are many
  const usual = columns.length > 10 ? crowded(limit) : plain;
  const numbers: Written[] = [];

  const elements: HTMLElement[][] = [];
  const body = rows.map((row) => {
    const line: HTMLElement[] = [];
    elements.push(line);
    const filled = columns.map((column) => {
      const cell = at.get(`${row} ${column}`);
      if (!cell) return h("span", { class: "none", role: "gridcell" });
      const apart = bias.test(cell.label) && Math.abs(cell.value) > limit * (1 + 1e-9);
      const color = diverging(apart ? 0 : cell.value / limit);
      const selected = cell.label === o.selected;
      const element = h(
        o.href ? "a" : "span",
        {
          class: `cell${apart ? " apart" : ""}${selected ? " selected" : ""}`,
          role: o.href ? undefined : "gridcell",
          tabindex: "-1",
          href: o.href?.(cell),
          id: `cell-${o.label}-${cell.label}-${cell.row}-${cell.column}`.replace(/[^\w-]+/g, "_"),
          "aria-current": selected ? "true" : undefined,
          title: o.describe(cell),
          style: { background: apart ? "" : color, color: apart ? "" : on(color) },
        },
        !narrow && !o.bare && !low && h("span", { class: "name", "aria-hidden": "true" }, cell.label),
        !narrow && number(numbers, cell.value, apart),
        h("span", { class: "said" }, o.describe(cell)),
      );
      line.push(element);
      return o.href ? h("span", { role: "gridcell", class: "slot" }, element) : element;
    });
    return h("div", { role: "row", class: "row" }, h("span", { role: "rowheader", class: "rowname" }, rowName.get(row) ?? ""), filled);
  });
  const grid = h(
    "div",
    {
      class: `heatmap${narrow ? " narrow" : ""}${o.bare ? " bare" : ""}${low ? " low" : ""}`,
      role: "grid",
      "aria-label": o.about ? `${o.label}: ${o.about}` : o.label,
      style: { "--columns": String(columns.length) },
      onkeydown: (e: KeyboardEvent) => walk(e, elements),
    },
    h(
      "div",
      { role: "row", class: "row names" },
      h("span", { role: "columnheader", class: "corner" }, o.corner ?? "layer"),
      columns.map((c) => h("span", { role: "columnheader", class: "columnname", title: columnName.get(c) || undefined }, columnName.get(c) ?? "")),
    ),
    body,
  );
  const first = elements.flat().find((e) => e.getAttribute("aria-current")) ?? elements.flat()[0];
  first?.setAttribute("tabindex", "0");
  const caption = h("span", { class: "muted" });
  const say = (about: string) => caption.replaceChildren([o.title, about].filter(Boolean).join("; "));
  say("");
  if (numbers.length > 0) fitted(grid, numbers, forms(limit, usual), o.limit, say);
  return h("figure", { class: "plot" }, h("div", { class: "scroll" }, grid), legend(cells, limit, caption));
}

interface Written {
  element: HTMLElement;
  value: number;
  /** outside the colour scale; then the legend has it too */
  apart: boolean;
}

function number(numbers: Written[], value: number, apart: boolean): HTMLElement {
  const element = h("span", { class: "value", "aria-hidden": "true" });
  numbers.push({ element, value, apart });
  return element;
}

// fitted writes the numbers into their cells, again when the width of these changes: in the longest form that fits, or not at all, as a
// number that is cut off can be taken for another. On a scale that several heatmaps share, both ends must fit, so that all have one form.
function fitted(grid: HTMLElement, numbers: Written[], forms: Form[], shared: number | undefined, say: (about: string) => void): void {
  let width = -1;
  const fit = () => {
    const [probe] = numbers;
    const cell = probe?.element.parentElement;
    if (!probe || !cell || cell.clientWidth === width) return;
    width = cell.clientWidth;
    const room = width - 3;
    grid.classList.remove("unnamed");
    if ([...grid.querySelectorAll<HTMLElement>(".cell .name")].some((e) => e.offsetWidth > width)) grid.classList.add("unnamed");
    const wide = ({ element }: Written) => element.offsetWidth > room;
    const fits = (form: Form) => {
      probe.element.textContent = form.text(-(shared ?? 0));
      if (wide(probe)) return false;
      for (const n of numbers) n.element.textContent = form.text(n.value);
      return !numbers.some((n) => !n.apart && wide(n));
    };
    const form = forms.find(fits);
    const hidden = numbers.map((n) => !form || wide(n));
    numbers.forEach((n, i) => hidden[i] && n.element.replaceChildren());
    say(!form ? "point at a cell for its number" : form.unit === plain ? "" : `numbers in cells are ${form.unit.name}`);
  };
  new ResizeObserver(fit).observe(grid);
}

/** legend explains the colours of cells. */
function legend(cells: Cell[], limit: number, title: HTMLElement): HTMLElement {
  const apart = cells.filter((c) => bias.test(c.label) && Math.abs(c.value) > limit * (1 + 1e-9));
  return h(
    "figcaption",
    { class: "colorbar" },
    h(
      "span",
      { class: "bar", "aria-hidden": "true" },
      h("span", { class: "ends" }, h("span", {}, short(-limit)), h("span", {}, "0"), h("span", {}, short(limit))),
      h("span", { class: "ramp", style: { background: gradient() } }),
    ),
    title,
    apart.length > 0 && h("span", { class: "muted" }, `outside the colour scale: ${apart.map((c) => `${c.label} ${short(c.value)}`).join(", ")}`),
  );
}

interface Unit {
  size: number;
  name: string;
}

const plain: Unit = { size: 1, name: "" };

const thousandths: Unit = { size: 1e-3, name: "thousandths" };
const millionths: Unit = { size: 1e-6, name: "millionths" };

// crowded returns a unit in which small numbers fit into narrow cells.
const crowded = (limit: number): Unit => (limit >= 0.1 ? plain : limit >= 1e-4 ? thousandths : millionths);

interface Form {
  unit: Unit;
  /** the end of the scale */
  limit: number;
  text: (value: number) => string;
}

// forms returns the ways to write numbers, the longest first: in the usual unit, then in one without a zero in front, each with as many
// decimals as the scale supports, or one fewer. The end of the scale keeps two digits.
function forms(limit: number, usual: Unit): Form[] {
  const smaller = limit >= 1 ? plain : limit >= 1e-3 ? thousandths : millionths;
  return [...new Set([usual, smaller])].flatMap((unit) => {
    const end = limit / unit.size;
    const most = Math.max(0, Math.min(4, 2 - Math.floor(Math.log10(end))));
    const form = (decimals: number): Form => ({ unit, limit, text: (value) => brief(value / unit.size, decimals) });
    return [form(most), ...(most > 0 && most >= 2 - Math.floor(Math.log10(end)) ? [form(most - 1)] : [])];
  });
}

// brief formats the value of a cell.
function brief(value: number, decimals: number): string {
  const text = value.toFixed(decimals);
  return Number(text) === 0 ? "0" : text.replace("-", "−");
}

function walk(e: KeyboardEvent, elements: HTMLElement[][]): void {
  const place = position(elements, e.target as HTMLElement);
  if (!place) return;
  const [row, column] = place;
  const step: Record<string, [number, number]> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  let next: HTMLElement | undefined;
  const by = step[e.key];
  if (by) next = nearest(elements[row + by[0]], elements[row]?.[column], column + by[1], by[0] !== 0);
  else if (e.key === "Home") next = elements[row]?.[0];
  else if (e.key === "End") next = elements[row]?.at(-1);
  if (!next) return;
  e.preventDefault();
  for (const element of elements.flat()) element.setAttribute("tabindex", element === next ? "0" : "-1");
  next.focus();
}

// nearest returns the closest cell in the row above or below, or the next one in the same row.
function nearest(line: HTMLElement[] | undefined, from: HTMLElement | undefined, column: number, other: boolean): HTMLElement | undefined {
  if (!other || !line || !from) return line?.[column];
  const x = from.offsetLeft;
  return line.reduce<HTMLElement | undefined>((best, e) => (!best || Math.abs(e.offsetLeft - x) < Math.abs(best.offsetLeft - x) ? e : best), undefined);
}

function position(elements: HTMLElement[][], element: HTMLElement): [number, number] | undefined {
  for (const [i, line] of elements.entries()) {
    const j = line.indexOf(element);
    if (j >= 0) return [i, j];
  }
  return undefined;
}

const distinct = (list: number[]) => [...new Set(list)].sort((a, b) => a - b);
