// Elements. Text only ever becomes a text node: what a file says is never markup.

export type Child = Node | string | number | null | undefined | false | Child[];
type Props = Record<string, unknown>;

const svgNamespace = "http://www.w3.org/2000/svg";

/** h returns an HTML element. Properties that are functions become listeners. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, props: Props = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), props, children);
}

/** s returns an SVG element. */
export function s<K extends keyof SVGElementTagNameMap>(tag: K, props: Props = {}, ...children: Child[]): SVGElementTagNameMap[K] {
  return fill(document.createElementNS(svgNamespace, tag), props, children);
}

function fill<E extends Element & ElementCSSInlineStyle>(element: E, props: Props, children: Child[]): E {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else if (name === "style") for (const [key, text] of Object.entries(value as Record<string, string>)) element.style.setProperty(key, text);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

/** append adds children after those that an element has. */
export function append(element: ParentNode, children: Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(element, child);
    else element.append(child instanceof Node ? child : String(child));
  }
}

/** dialog shows a message until the user closes it. */
export function toast(text: string): void {
  const status = document.getElementById("status");
  if (!status) return;
  status.textContent = text;
  status.classList.add("shown");
  window.setTimeout(() => {
    if (status.textContent === text) status.classList.remove("shown");
  }, 4000);
}

/** copy copies text to the clipboard. */
export async function copy(text: string): Promise<void> {
  await navigator.clipboard.writeText(text);
  toast("Copied.");
}

/** save downloads a file. */
export function save(data: Blob, name: string): void {
  const url = URL.createObjectURL(data);
  const link = h("a", { href: url, download: name });
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
