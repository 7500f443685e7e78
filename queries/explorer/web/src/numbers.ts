// Formats numbers for display.

/** short formats a number with three digits and a true minus sign. */
export function short(x: number | null | undefined, digits = 3): string {
  if (x === null || x === undefined || Number.isNaN(x)) return "–";
  if (x === 0) return "0";
  const size = Math.abs(x);
  let text: string;
  if (size >= 1e6 || size < 1e-4) {
    text = x.toExponential(Math.max(0, digits - 1)).replace("e+", "e");
  } else {
    const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
    text = x.toFixed(decimals);
    if (Number(text) === 0) text = "0";
  }
  return text.replace(/-/g, "−");
}

/** fixed formats a number with a number of decimals and a true minus sign. */
export function fixed(x: number | null | undefined, decimals: number): string {
  if (x === null || x === undefined) return "–";
  const text = x.toFixed(decimals);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace(/-/g, "−");
}

/** decimals returns the decimals with which the largest number of a column has that many digits. */
export function decimals(values: (number | null | undefined)[], digits = 4): number {
  const largest = values.reduce<number>((m, v) => Math.max(m, Math.abs(v ?? 0)), 0);
  return largest === 0 ? 0 : Math.min(8, Math.max(0, digits - 1 - Math.floor(Math.log10(largest))));
}

/** percent formats a fraction of 1 as a percentage. */
export function percent(x: number | null | undefined): string {
  return x === null || x === undefined ? "–" : `${fixed(100 * x, Math.abs(x) < 0.0995 ? 1 : 0)} %`;
}

/** half returns half the width of a normal 95 % interval, as in basis_shares and ducklens diff. */
export const half = (se: number) => 1.96 * se;

/** leastPrompts is the smallest number of prompts with an interval. For fewer, a normal one is too narrow: for 5, by a third. */
export const leastPrompts = 10;

/** supported removes the standard errors of means over fewer prompts. */
export function supported<T extends { se: number | null; n: number }>(list: T[]): T[] {
  return list.map((mean) => (mean.n < leastPrompts ? { ...mean, se: null } : mean));
}

/** interval formats a mean with its 95 % interval. */
export function interval(mean: number, se: number | null | undefined): string {
  if (se === null || se === undefined) return short(mean);
  const decimals = se > 0 ? Math.min(6, Math.max(0, 1 - Math.floor(Math.log10(half(se))))) : 3;
  return `${fixed(mean, decimals)} [${fixed(mean - half(se), decimals)}, ${fixed(mean + half(se), decimals)}]`;
}

/** headName formats a head as figures do: 10.7 for L10H7. */
export function headName(label: string | null | undefined): string {
  return (label ?? "").replace(/^L(\d+)H(\d+)$/, "$1.$2");
}

/** sentence formats a reason as a sentence. */
export const sentence = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

/** count formats a number of things. */
export function count(n: number, noun: string, plural = `${noun}s`): string {
  return `${n.toLocaleString("en")} ${n === 1 ? noun : plural}`;
}
