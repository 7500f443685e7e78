// Takes pictures of the pages of ducklens explore. Arguments: the browser, the address, a folder, and pairs of the name of a picture and the
// view, as it stands behind # in its address; dark- in front of a name is a dark page. An @ and a selector behind the view say what is to
// be at the top.
const path = require('path');
const { chromium } = require('playwright-core');

(async () => {
  const [executablePath, address, folder, ...list] = process.argv.slice(2);
  const args = process.getuid && process.getuid() === 0 ? ['--no-sandbox'] : [];
  const browser = await chromium.launch({ executablePath, args });
  const taken = [];
  for (let i = 0; i < list.length; i += 2) {
    const [name, place] = list.slice(i, i + 2);
    const [view, top] = place.split('@');
    const page = await browser.newPage({ viewport: { width: 1200, height: 660 }, deviceScaleFactor: 0.8, colorScheme: name.startsWith('dark-') ? 'dark' : 'light' });
    await page.goto(`${address}#/${view}`);
    await page.waitForSelector('main[aria-busy=false]');
    await page.waitForFunction(() => { // what follows the first paint
      const editor = document.querySelector('.editor');
      return !document.querySelector('.later') && (!editor || editor.querySelector('div')?.shadowRoot?.querySelector('.cm-content'));
    });
    await page.waitForLoadState('networkidle');
    const failed = await page.$eval('main', (e) => e.querySelector('.failure')?.innerText);
    if (failed) throw new Error(`${name}: ${failed}`);
    await page.$$eval('.statement summary .muted', (list) => list.forEach((e) => { e.style.visibility = 'hidden'; })); // times of this machine
    if (top) await page.$eval(top, (e) => window.scrollTo(0, e.offsetTop - document.getElementById('header').offsetHeight));
    await page.screenshot({ path: path.join(folder, `explore-${name}.png`) });
    taken.push(await page.title());
    await page.close();
  }
  await browser.close();
  console.log(JSON.stringify(taken));
})().catch((error) => { console.error(String(error)); process.exit(1); });
