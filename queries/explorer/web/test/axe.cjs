// Looks at pages of ducklens explore with axe-core, light and dark, and prints the rules that they break as JSON. Dark pages have the same
// elements in other colours, so only the rules about colours are asked again.
// Arguments: the browser, the address, and the views, as they stand behind # in addresses.
const fs = require("fs");
const { chromium } = require("playwright-core");
const { open } = require("./view.cjs");

const [executablePath, address, ...views] = process.argv.slice(2);
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

(async () => {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  const seen = { looked: 0, broken: [] };
  for (const colorScheme of ["light", "dark"]) {
    const page = await browser.newPage({ viewport: { width: 1280, height: 720 }, colorScheme });
    page.setDefaultTimeout(120_000);
    await page.goto(address);
    await page.waitForSelector("main[aria-busy=false]");
    await page.evaluate(axe);
    const ofColor = await page.evaluate((tags) => axe.getRules(tags).filter((r) => r.tags.includes("cat.color")).map((r) => r.ruleId), rules);
    const asked = colorScheme === "dark" ? { type: "rule", values: ofColor } : { type: "tag", values: rules };
    for (const view of views) {
      await open(page, view);
      const found = await page.evaluate((runOnly) => axe.run(document, { runOnly }), asked);
      seen.looked += found.passes.length > 0 ? 1 : 0;
      for (const rule of found.violations) seen.broken.push(`${colorScheme} ${view}: ${rule.id}, ${rule.nodes.length} times: ${rule.nodes[0].html}`);
    }
    await page.close();
  }
  await browser.close();
  console.log(JSON.stringify(seen));
})().catch((error) => { console.error(String(error)); process.exit(1); });
