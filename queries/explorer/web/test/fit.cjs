// Looks whether pages of ducklens explore fit into windows of several widths, and prints as JSON how many it looked at and those that
// would have to be scrolled sideways, with what sticks out furthest, and views that failed. Arguments: the browser, the address, widths with
// commas between them, and the views, as they stand behind # in addresses.
const { chromium } = require("playwright-core");

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

(async () => {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  const seen = { looked: 0, wide: [], failed: [] };
  const page = await browser.newPage();
  page.setDefaultTimeout(120_000);
  await page.goto(address);
  await page.waitForSelector("main[aria-busy=false]");
  for (const view of views) {
    await page.evaluate((hash) => {
      document.getElementById("main").setAttribute("aria-busy", "true");
      location.hash = hash;
    }, `#/${view}`);
    await page.waitForSelector("main[aria-busy=false]");
    await page.waitForSelector(".later", { state: "detached" }); // what follows the first paint
    if (view.startsWith("sql")) await page.waitForFunction(() => document.querySelector(".editor > div")?.shadowRoot?.querySelector(".cm-content"));
    if (view.includes("q=")) await page.waitForSelector(".results > *");
    if (await page.$("main > .failure")) seen.failed.push(view);
    for (const width of widths.split(",").map(Number)) {
      await page.setViewportSize({ width, height: 660 });
      const found = await page.evaluate(sticking);
      seen.looked++;
      if (found) seen.wide.push(`${view} at ${width}: ${found}`);
    }
  }
  await browser.close();
  console.log(JSON.stringify(seen));
})().catch((error) => { console.error(String(error)); process.exit(1); });
