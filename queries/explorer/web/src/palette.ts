// The colours of figures, computed as in queries/figure/internal/palette, so that pages and printed figures agree.

type Lab = [l: number, a: number, b: number];
interface Ramp {
  bend: Lab;
  end: Lab;
}
interface Palette {
  page: string;
  zero: Lab;
  negative: Ramp;
  positive: Ramp;
  categories: string[];
}

const light: Palette = {
  page: "#ffffff",
  zero: [100, 0, 0],
  negative: { bend: [0, -10.9, -27.8], end: [38, 7.8, -44.3] },
  positive: { bend: [0, 29, 16], end: [38, 58, 36] },
  categories: ["#0072b2", "#e69f00", "#333333", "#56b4e9", "#d55e00", "#009e73", "#cc79a7", "#f0e442"],
};

const dark: Palette = {
  page: "#14171c",
  zero: [7.5, -0.3, -3.5],
  negative: { bend: [0, 4, -42], end: [74, -12, -38] },
  positive: { bend: [0, 46, 30], end: [74, 26, 46] },
  categories: ["#3082d8", "#e69f00", "#e8e8e8", "#7cc8f4", "#d55e00", "#10b074", "#d886b4", "#f0e442"],
};

const darkScheme = matchMedia("(prefers-color-scheme: dark)");

/** onSchemeChange calls back when the colour scheme changes between light and dark. */
export function onSchemeChange(listener: () => void): void {
  darkScheme.addEventListener("change", listener);
}

const current = () => (darkScheme.matches ? dark : light);

/** category returns the colour of series i of a legend. */
export const category = (i: number): string => current().categories[i % 8] ?? "";

/** diverging returns the colour of a value from -1 to 1, where 0 is the page's own. Values beyond have that of the end. */
export function diverging(x: number): string {
  const p = current();
  if (x === 0) return p.page;
  const t = Math.min(1, Math.abs(x));
  const { bend, end } = x < 0 ? p.negative : p.positive;
  const curve = (i: 1 | 2) => (1 - t) * (1 - t) * p.zero[i] + 2 * t * (1 - t) * bend[i] + t * t * end[i];
  return hex(rgb([p.zero[0] + t * (end[0] - p.zero[0]), curve(1), curve(2)]));
}

/** on returns black or white, whichever has more contrast with a fill. */
export function on(fill: string): string {
  const linear = (v: number) => (v <= 0.04045 * 255 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const [r, g, b] = [1, 3, 5].map((i) => linear(Number.parseInt(fill.slice(i, i + 2), 16))) as [number, number, number];
  const y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return (y + 0.05) / 0.05 >= 1.05 / (y + 0.05) ? "#000000" : "#ffffff";
}

/** gradient returns the scale from -1 to 1 as a CSS background. */
export function gradient(): string {
  const stops = Array.from({ length: 41 }, (_, i) => diverging((i - 20) / 20));
  return `linear-gradient(to right, ${stops.join(", ")})`;
}

// rgb converts from CIE L*a*b* (white point D65) to sRGB, clipped to what a screen shows.
function rgb([l, a, b]: Lab): [number, number, number] {
  const fy = (l + 16) / 116;
  const inverse = (t: number) => (t > 6 / 29 ? t ** 3 : 3 * (6 / 29) ** 2 * (t - 4 / 29));
  const x = 0.95047 * inverse(fy + a / 500);
  const y = inverse(fy);
  const z = 1.08883 * inverse(fy - b / 200);
  const gamma = (u: number) => {
    const v = u <= 0.0031308 ? u * 12.92 : 1.055 * u ** (1 / 2.4) - 0.055;
    return Math.round(255 * Math.min(1, Math.max(0, v)));
  };
  return [
    gamma(3.2404542 * x - 1.5371385 * y - 0.4985314 * z),
    gamma(-0.969266 * x + 1.8760108 * y + 0.041556 * z),
    gamma(0.0556434 * x - 0.2040259 * y + 1.0572252 * z),
  ];
}

const hex = (c: number[]) => `#${c.map((v) => v.toString(16).padStart(2, "0")).join("")}`;
