// Opens figure pages in a Chromium as a reader would, from a file, and reports what happened as JSON.
// Arguments: the browser, then pages.
const { chromium } = require("playwright-core");
const { pathToFileURL } = require("url");

const visit = async (browser, path) => {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  const url = pathToFileURL(path).href;
  const seen = { errors: [], requests: [], dialogs: 0 };
  page.on("console", (m) => { if (["error", "warning"].includes(m.type())) seen.errors.push(m.text()); });
  page.on("pageerror", (e) => seen.errors.push(e.message));
  page.on("request", (r) => { if (r.url() !== url && !r.url().startsWith("data:") && !r.url().startsWith("blob:")) seen.requests.push(r.url()); });
  page.on("dialog", (d) => { seen.dialogs++; d.dismiss(); });
  await page.goto(url);
  await page.waitForSelector("#figure .main-svg");
  await page.waitForFunction(() => document.getElementById("figure").calcdata !== undefined);
  seen.buttons = await page.$$eval(".modebar-btn", (list) => list.map((b) => b.getAttribute("data-title")));
  seen.text = await page.evaluate(() => document.getElementById("figure").textContent);
  const state = () => page.evaluate(() => {
    const figure = document.getElementById("figure");
    return { first: JSON.stringify(figure.data.map((t) => t.z || t.x)), visible: figure.data.map((t) => t.visible) };
  });
  const before = await state();
  await page.evaluate(() => {
    const figure = document.getElementById("figure");
    figure.on("plotly_click", (event) => { window.clicked = { curve: event.points[0].curveNumber, at: event.points[0].pointNumber }; });
    figure.on("plotly_hover", () => { window.hovered = true; });
  });
  const plot = await page.locator("#figure .nsewdrag").first().boundingBox();
  await page.mouse.move(plot.x + plot.width * 0.3, plot.y + plot.height * 0.6);
  await page.mouse.move(plot.x + plot.width * 0.31, plot.y + plot.height * 0.6);
  await page.waitForTimeout(200);
  seen.hover = await page.evaluate(() => [...document.querySelectorAll(".hoverlayer .hovertext")].map((e) => e.textContent).join("|"));
  await page.mouse.click(plot.x + plot.width * 0.31, plot.y + plot.height * 0.6);
  await page.waitForTimeout(400);
  seen.clicked = await page.evaluate(() => window.clicked);
  if (await page.locator(".slider-rail-touch-rect").count() > 0) {
    const rail = await page.locator(".slider-rail-touch-rect").first().boundingBox();
    await page.mouse.click(rail.x + rail.width - 4, rail.y + rail.height / 2);
    await page.waitForTimeout(400);
    seen.slid = (await state()).first !== before.first;
  }
  if (await page.locator(".legendtoggle").count() > 0) {
    await page.locator(".legendtoggle").first().click();
    await page.waitForTimeout(800);
    seen.toggled = (await state()).visible.filter((v) => v === "legendonly").length;
  }
  await page.close();
  return seen;
};

(async () => {
  const [executablePath, ...paths] = process.argv.slice(2);
  const args = process.getuid && process.getuid() === 0 ? ["--no-sandbox"] : [];
  const browser = await chromium.launch({ executablePath, args });
  try {
    const all = [];
    for (const path of paths) all.push(await visit(browser, path));
    console.log(JSON.stringify(all));
  } finally {
    await browser.close();
  }
})().catch((e) => { console.error(e); process.exit(1); });
