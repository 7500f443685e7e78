// Reads a report in a Chromium, from a file, and tells as JSON what happened. Arguments: the browser, the page.
const { chromium } = require("playwright-core");
const { pathToFileURL } = require("url");

(async () => {
  const [executablePath, path] = process.argv.slice(2);
  const args = process.getuid && process.getuid() === 0 ? ["--no-sandbox"] : [];
  const browser = await chromium.launch({ executablePath, args });
  try {
    const page = await browser.newPage({ viewport: { width: 1366, height: 900 } });
    const url = pathToFileURL(path).href;
    const seen = { errors: [], requests: [], dialogs: 0 };
    page.on("console", (m) => { if (["error", "warning"].includes(m.type())) seen.errors.push(m.text()); });
    page.on("pageerror", (e) => seen.errors.push(e.message));
    page.on("request", (r) => { if (r.url() !== url && !r.url().startsWith("data:") && !r.url().startsWith("blob:")) seen.requests.push(r.url()); });
    page.on("dialog", (d) => { seen.dialogs++; d.dismiss(); });
    await page.goto(url);
    await page.waitForSelector("html[data-ready]", { timeout: 120000 });
    await page.$$eval("details.figure", (list) => list.forEach((d) => { d.open = true; }));
    await page.waitForFunction(() => [...document.querySelectorAll(".plot")].every((p) => p.classList.contains("js-plotly-plot")));
    await page.waitForTimeout(2000);
    seen.plots = await page.locator(".plot .main-svg").count() && await page.locator(".plot.js-plotly-plot").count();
    seen.buttons = await page.$$eval(".modebar-btn", (list) => list.map((b) => b.getAttribute("data-title") || ""));
    seen.heading = await page.locator("h1").textContent();

    // What plotly.js's buttons, which come with the pointer, lie on.
    seen.covered = await page.$$eval(".plot", (plots) => plots.flatMap((plot) => {
      const buttons = plot.querySelector(".modebar").getBoundingClientRect();
      return [...plot.querySelectorAll("svg text, .legend rect.legendtoggle, .nsewdrag, .cbfill")].filter((e) => {
        const box = e.getBoundingClientRect();
        return box.left < buttons.right && box.right > buttons.left && box.top < buttons.bottom && box.bottom > buttons.top;
      }).map((e) => plot.parentNode.id + ": " + (e.textContent || e.getAttribute("class")));
    }));

    // A cell, the slider, and the same cell again.
    const figure = page.locator("#figure-key_quadrants");
    await figure.scrollIntoViewIfNeeded();
    const values = () => figure.locator(".plot").evaluate((e) => JSON.stringify(e.data.map((t) => t.z)));
    const cell = async () => {
      const box = await figure.locator(".nsewdrag").first().boundingBox();
      await page.mouse.move(box.x + box.width * 0.1, box.y + box.height * 0.5);
      await page.waitForTimeout(200);
      await page.mouse.click(box.x + box.width * 0.1 + 1, box.y + box.height * 0.5);
      await page.waitForTimeout(500);
      return figure.locator(".drill").innerText();
    };
    seen.drill = await cell();
    seen.roles = await figure.locator(".drill .role-1, .drill .role-2, .drill .role-3").count();
    const before = await values();
    const rail = figure.locator(".slider-rail-touch-rect");
    await rail.scrollIntoViewIfNeeded();
    const box = await rail.boundingBox();
    await page.mouse.click(box.x + box.width - 4, box.y + box.height / 2);
    await page.waitForTimeout(500);
    seen.slid = (await values()) !== before;
    await figure.scrollIntoViewIfNeeded();
    seen.drillAfter = await cell();

    const legend = page.locator("#figure-legend");
    await legend.scrollIntoViewIfNeeded();
    await legend.locator(".legendtoggle").first().click();
    await page.waitForTimeout(800);
    seen.toggled = await legend.locator(".plot").evaluate((e) => e.data.filter((t) => t.visible === "legendonly").length);

    const rows = page.locator("#prompt-table tbody tr");
    seen.rows = await rows.count();
    seen.first = await rows.first().locator("td").first().innerText();
    await page.locator("#prompt-table th button").first().click();
    seen.sorted = await rows.first().locator("td").first().innerText();
    await page.locator("#find").fill("alert(1)");
    seen.found = await rows.count();
    await page.locator("#find").fill("");

    // On paper: A4 between margins of 14 mm, in pixels of which an inch has 96.
    const paper = { width: Math.round((210 - 28) / 25.4 * 96), height: Math.round((297 - 28) / 25.4 * 96) };
    await page.locator("#figure-key_quadrants details.source summary").click();
    await page.emulateMedia({ media: "print" });
    await page.setViewportSize(paper);
    await page.evaluate(() => window.dispatchEvent(new Event("beforeprint")));
    await page.waitForTimeout(2000);
    seen.paper = await page.evaluate((paper) => {
      const wide = [], tall = [], breaks = [];
      for (const e of document.querySelectorAll("main *")) {
        if (e.closest("svg") || e.closest("pre") || e.getClientRects().length === 0) continue;
        if (e.getBoundingClientRect().right > paper.width + 1) wide.push(e.tagName + " " + (e.closest("article, section") || {}).id);
      }
      for (const e of document.querySelectorAll(".figure")) {
        const plot = e.querySelector(".plot").getBoundingClientRect();
        if (plot.height > paper.height) tall.push(e.id);
        if (getComputedStyle(e.querySelector(".plot")).breakInside !== "avoid") breaks.push(e.id);
      }
      const token = document.querySelector(".token");
      return {
        wide, tall, breaks, colours: getComputedStyle(token).printColorAdjust,
        folds: [...document.querySelectorAll("details.source")].filter((e) => e.getClientRects().length > 0).length,
        shown: document.getElementById("shown").getClientRects().length > 0,
      };
    }, paper);
    await page.evaluate(() => window.dispatchEvent(new Event("afterprint")));
    const pdf = await page.pdf({ preferCSSPageSize: true });
    seen.pages = (pdf.toString("latin1").match(/\/Type\s*\/Page\b/g) || []).length;
    console.log(JSON.stringify(seen));
  } finally {
    await browser.close();
  }
})().catch((e) => { console.error(e); process.exit(1); });
