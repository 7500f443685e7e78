// Times the pages of ducklens explore in a Chromium as a reader sees them, and prints milliseconds as JSON.
// Arguments: the browser, the address, how often, and the views, as they stand behind # in addresses. The first view is timed from the
// moment at which the browser is sent to the address, every other from the change of the address; until it is painted, and until it is
// whole, with the parts that follow. The best counts.
const { chromium } = require("playwright-core");

const [executablePath, address, times, ...views] = process.argv.slice(2);

// painted waits until the page has put up what was asked of it, and gives the time.
const painted = () => new Promise((resolve) => {
  const main = document.getElementById("main");
  const look = () => {
    if (main.getAttribute("aria-busy") !== "false") return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now())));
  };
  const observer = new MutationObserver(look);
  observer.observe(main, { attributes: true });
  look();
});

// whole waits until the parts that follow are painted too.
const whole = () => new Promise((resolve) => {
  const look = () => {
    if (document.querySelector(".later")) return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now())));
  };
  const observer = new MutationObserver(look);
  observer.observe(document.getElementById("main"), { childList: true, subtree: true });
  look();
});

(async () => {
  const args = process.getuid && process.getuid() === 0 ? ["--no-sandbox"] : [];
  const browser = await chromium.launch({ executablePath, args });
  const best = {};
  const took = (view, ms) => { best[view] = Math.min(best[view] ?? Infinity, ms); };
  for (let i = 0; i < Number(times); i++) {
    const page = await browser.newPage({ viewport: { width: 1280, height: 720 } });
    await page.goto(address);
    took("first", await page.evaluate(painted)); // since the navigation began
    for (const view of views) {
      const [first, last] = await page.evaluate(`(async () => {
        const began = performance.now();
        document.getElementById("main").setAttribute("aria-busy", "true");
        location.hash = ${JSON.stringify("#/" + view)};
        return [await (${painted})() - began, await (${whole})() - began];
      })()`);
      took(view, first);
      took(`${view}, whole`, last);
      const failure = await page.$(".failure");
      if (failure) throw new Error(`${view}: ${await failure.innerText()}`);
    }
    await page.close();
  }
  await browser.close();
  console.log(JSON.stringify(best));
})().catch((error) => { console.error(String(error)); process.exit(1); });
