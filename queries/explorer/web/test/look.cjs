// Opens views of ducklens explore one after another, and prints as JSON what each says. Arguments: the browser, the address, and the views,
// as they stand behind # in addresses.
const { chromium } = require("playwright-core");
const { open } = require("./view.cjs");

const [executablePath, address, ...views] = process.argv.slice(2);

(async () => {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  const seen = {};
  const page = await browser.newPage({ viewport: { width: 1280, height: 720 } });
  page.setDefaultTimeout(120_000);
  await page.goto(address);
  await page.waitForSelector("main[aria-busy=false]");
  for (const view of views) {
    await open(page, view);
    seen[view] = await page.evaluate(() => ({
      title: document.title,
      text: document.querySelector("main").innerText,
      chosen: Object.fromEntries([...document.querySelectorAll(".choice select")].map((e) => [e.parentElement.firstChild.textContent, e.selectedOptions[0]?.textContent])),
      rows: [...document.querySelectorAll(".heatmap [role=row]:not(.names)")].map((row) => row.querySelectorAll(".cell").length),
    }));
  }
  await browser.close();
  console.log(JSON.stringify(seen));
})().catch((error) => { console.error(String(error)); process.exit(1); });
