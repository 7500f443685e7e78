// Walks through the pages of ducklens explore as a reader would, and prints what it saw as JSON.
// Arguments: the browser, the address, and the aliases of a file to walk through and of a hostile one.

const { chromium } = require("playwright-core");

const [browser, address, file, hostile] = process.argv.slice(2);
const seen = { errors: [], requests: [], dialogs: 0, markup: 0, steps: [], cells: {}, narrowed: {}, prompts: [], pairs: [], tokens: [], near: [], parts: {}, answer: [], csv: "", figure: "", cancelled: "", restored: {}, titles: {}, slowest: "" };

(async () => {
  const instance = await chromium.launch({ executablePath: browser, args: ["--no-sandbox"] });
  const context = await instance.newContext({ viewport: { width: 1280, height: 720 }, acceptDownloads: true });
  const origin = new URL(address).origin;
  const watch = (page) => {
    page.setDefaultTimeout(120_000);
    page.on("console", (m) => m.type() !== "log" && seen.errors.push(`${m.type()} after ${seen.steps.at(-1)}: ${m.text()}`));
    page.on("pageerror", (e) => seen.errors.push(String(e.stack)));
    page.on("dialog", (d) => (seen.dialogs++, d.dismiss()));
    page.on("request", (r) => {
      if (!r.url().startsWith(origin) && !/^(blob|data):/.test(r.url())) seen.requests.push(r.url());
    });
  };
  const page = await context.newPage();
  watch(page);

  const settled = async (p = page) => {
    await p.waitForSelector("main[aria-busy=false]");
    await p.waitForSelector(".later", { state: "detached" }); // what follows the first paint
    await p.waitForFunction(() => ![...document.querySelectorAll(".facts dd")].some((e) => e.textContent === "…")); // whether the parts add up
    const failure = await p.$(".failure");
    if (failure) seen.errors.push(`${p.url().replace(/.*#/, "#")}: ${await failure.innerText()}`);
  };
  const title = () => page.textContent("#title");
  const step = async (name, act) => {
    const before = await page.evaluate(() => (window.drawn ??= 0));
    const began = Date.now();
    await act();
    await page.waitForFunction((n) => window.drawn > n, before).catch(() => seen.errors.push(`${name}: nothing is drawn`));
    await settled();
    seen.steps.push(`${name} ${Date.now() - began} ms`);
    seen.titles[name] = await title();
  };
  // Every view that is drawn is counted, so that a step knows when the next one is there.
  await page.addInitScript(() => {
    window.drawn = 0;
    new MutationObserver((list) => {
      if (list.some((m) => m.target.id === "main" && m.target.getAttribute("aria-busy") === "false")) window.drawn++;
    }).observe(document, { subtree: true, attributes: true, attributeFilter: ["aria-busy"] });
  });
  const to = (hash) => () => page.evaluate((h) => { location.hash = h; }, hash);
  const f = `file=${file}`;

  // From the file to the prompts that drive MLP0's cell.
  await page.goto(address);
  await settled();
  await step("heads", to(`#/heads?${f}`));
  await step("components", () => page.click(".bars tbody a"));
  const cells = () => page.$$eval(".heatmap .cell", (list) => Object.fromEntries(list.map((e) => [e.querySelector(".name")?.textContent ?? "", e.querySelector(".said").textContent])));
  seen.cells = await cells();
  await page.focus(".heatmap .cell[tabindex='0']");
  await page.keyboard.press("ArrowDown");
  for (let i = 0; i < 8; i++) {
    if (await page.evaluate(() => document.activeElement.querySelector(".name")?.textContent === "MLP0")) break;
    await page.keyboard.press("ArrowRight");
  }
  await step("cell", () => page.keyboard.press("Enter"));
  const rows = () => page.$$eval("a.promptrow", (list) => list.slice(0, 3).map((a) => [...a.children].map((c) => c.textContent)));
  seen.prompts = await rows();
  seen.pairs = await page.$$eval(".bars tbody tr", (list) => list.map((r) => [r.children[0].textContent, r.children[1].textContent]));

  // A range of the distribution leaves fewer prompts, and the heatmap of these alone.
  await page.fill("#brush-low", "0");
  await step("brush", () => page.press("#brush-low", "Enter"));
  await step("narrowed", () => page.click("text=Components of these"));
  seen.narrowed = await cells();
  await step("back", () => page.goBack());
  await step("all again", () => page.click("#brush-clear"));

  // One prompt; its pairs.
  await step("prompt", () => page.click("a.promptrow"));
  seen.tokens = await page.$$eval(".tokens .token", (list) => list.map((t) => t.textContent));
  await page.hover(".tokens .token.is-query");
  seen.about = await page.textContent(".about");
  seen.near = await page.$$eval(".nearest dd", (list) => list.map((d) => d.textContent));
  seen.parts = await page.$$eval("section[aria-label=Contributions] .bars tbody tr", (list) => Object.fromEntries(list.map((r) => [r.children[0].textContent, r.children[1].textContent])));
  await step("pairs of the prompt", () => page.click("text=All pairs of this prompt"));
  await step("escape", () => page.keyboard.press("Escape"));
  await step("escape again", () => page.keyboard.press("Escape"));

  // The others, each by its link; the query side, other bases, one label.
  await step("query side", () => page.click("text=Query side"));
  await step("a basis", () => page.selectOption("#c-Key_basis", "mlp0"));
  await step("a quadrant", () => page.selectOption("#c-Quadrant", "perp_par"));
  await step("pairs", to(`#/pairs?${f}`));
  await step("directions", to(`#/directions?${f}`));
  await step("writes", to(`#/writes?${f}`));
  await step("compare", to(`#/compare?${f}&only=prompt_order%3DABBA&only2=prompt_order%3DBABA`));
  seen.compared = await page.$$eval("section .heatmap", (list) => list.length);

  // The figure as ducklens plot draws it.
  await step("figure of", to(`#/components?${f}&side=query&subtract=no`));
  if (await page.$("#save-svg")) { // a folder draws none
    const [drawing] = await Promise.all([page.waitForEvent("download"), page.click("#save-svg")]);
    seen.figure = await text(drawing);
  }

  // The SQL box: a statement of a view, one of the reader's own with a parameter, a file of it, one that takes too long.
  await step("sql", () => page.click("nav >> text=SQL"));
  const sql = encodeURIComponent("SELECT head, count(*) AS n, avg(diff) AS mean FROM head_score WHERE head = $head GROUP BY head ORDER BY head");
  await step("own sql", to(`#/sql?${f}&q=${sql}&p.head=L3H0`));
  await page.waitForSelector(".table [role=cell]");
  seen.answer = await page.$$eval(".table [role=row]", (list) => list.map((r) => [...r.children].map((c) => c.textContent)));
  const [csv] = await Promise.all([page.waitForEvent("download"), page.click("#as-csv")]);
  seen.csv = await text(csv);
  await page.waitForFunction(() => document.querySelector(".editor > div")?.shadowRoot?.querySelector(".cm-content"));
  await page.evaluate(() => document.querySelector(".editor > div").shadowRoot.querySelector(".cm-content").focus());
  await page.keyboard.press("Control+a");
  await page.keyboard.type("SELECT key_tok");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Control+a");
  await page.keyboard.type("SELECT max(sin(a.range * b.range)) FROM range(1000000) AS a, range(1000000) AS b ");
  await page.keyboard.press("Escape");
  await page.click("#run");
  await page.waitForSelector("#cancel:not([disabled])");
  await page.click("#cancel");
  await page.waitForSelector(".results .failure");
  seen.cancelled = await page.textContent(".results .failure");

  // A link restores its view.
  for (const hash of [`#/cell?${f}&component=MLP0&side=key`, `#/prompt?${f}&component=MLP0&example=1`, `#/pairs?${f}&kc=MLP0`]) {
    const other = await context.newPage();
    watch(other);
    await other.goto(address.replace(/#.*/, "") + hash);
    await settled(other);
    await step(hash, to(hash));
    const main = async (p) => {
      await p.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))); // lists know their height then
      return p.$eval("main", (e) => e.innerText.replace(/[\d.]+ ms/g, ""));
    };
    seen.restored[hash] = (await main(other)) === (await main(page));
    await other.close();
  }

  // What a hostile file says is text everywhere.
  for (const view of ["heads", "components", "cell?component=MLP0", "prompt?example=0&component=MLP0", "pairs", "directions", "writes", "compare", "sql?name=hostile"]) {
    await step(`hostile ${view}`, to(`#/${view}${view.includes("?") ? "&" : "?"}file=${hostile}`));
    if (view.startsWith("sql")) await page.waitForSelector(".table [role=cell]");
    seen.markup += await page.$$eval("body img, body script, body iframe", (list) => list.length);
  }
  await instance.close();
  console.log(JSON.stringify(seen));
})().catch((e) => {
  console.error(JSON.stringify(seen, null, 1));
  console.error(e);
  process.exit(1);
});

async function text(download) {
  const chunks = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
