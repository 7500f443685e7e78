// Looks whether pages of ducklens explore fit into windows of several widths, and prints as JSON how many it looked at and those that
// would have to be scrolled sideways, with what sticks out furthest, what is cut off or covered in a chart, and views that failed. Arguments: the browser, the address, widths with
// commas between them, and the views, as they stand behind # in addresses.
const { chromium } = require("playwright-core");
const { open } = require("./view.cjs");

const [executablePath, address, widths, ...views] = process.argv.slice(2);

// sticking gives what is wider than the window; undefined if nothing is.
const sticking = () => {
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth <= clientWidth) return undefined;
  const right = (e) => e.getBoundingClientRect().right;
  const scrolled = (e) => e.closest(".scroll, .table, pre, .list, .said") !== null;
  const [widest] = [...document.querySelectorAll("body *")].filter((e) => !scrolled(e)).sort((a, b) => right(b) - right(a));
  return `${scrollWidth} of ${clientWidth} pixels: ${widest.outerHTML.slice(0, 160)}`;
};

// cut gives texts that do not fit into their cell of a heatmap, and names of points that cover another name or a point.
const cut = () => {
  const box = (e) => e.getBoundingClientRect();
  const texts = [...document.querySelectorAll(".heatmap .cell > span:not(.said)")].filter((e) => e.textContent && box(e).width > 0);
  const out = texts.filter((e) => box(e).left < box(e.parentElement).left || box(e).right > box(e.parentElement).right);
  const names = [...document.querySelectorAll(".point text")];
  const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4;
  const others = (e) => [...document.querySelectorAll(".point text, .point circle")].filter((o) => o.parentElement !== e.parentElement);
  const covering = names.filter((e) => others(e).some((o) => meet(box(e), box(o))));
  const heads = [...document.querySelectorAll("table.plain thead th")].filter((e) => e.closest(".scroll") && box(e).right > box(e.closest(".scroll")).right + 1);
  return [out, covering, heads].flatMap((list) => list.slice(0, 1).map((e) => `${e.textContent}, and ${list.length - 1} more`));
};

(async () => {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  const seen = { looked: 0, wide: [], cut: [], numbers: [], failed: [] };
  const page = await browser.newPage();
  page.setDefaultTimeout(120_000);
  await page.goto(address);
  await page.waitForSelector("main[aria-busy=false]");
  for (const view of views) {
    await open(page, view);
    if (await page.$("main > .failure")) seen.failed.push(view);
    for (const width of widths.split(",").map(Number)) {
      await page.setViewportSize({ width, height: 660 });
      const found = await page.evaluate(sticking);
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))); // numbers of heatmaps are fitted then
      seen.cut.push(...(await page.evaluate(cut)).map((what) => `${view} at ${width}: ${what}`));
      if (await page.$$eval(".heatmap .value", (list) => list.some((e) => e.textContent))) seen.numbers.push(`${view} at ${width}`);
      seen.looked++;
      if (found) seen.wide.push(`${view} at ${width}: ${found}`);
    }
  }
  await browser.close();
  console.log(JSON.stringify(seen));
})().catch((error) => { console.error(String(error)); process.exit(1); });
