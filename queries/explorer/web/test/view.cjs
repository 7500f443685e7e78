// open shows a view of ducklens explore, as it stands behind # in addresses, and waits until all of it is there.
exports.open = async (page, view) => {
  await page.evaluate((hash) => {
    document.getElementById("main").setAttribute("aria-busy", "true");
    location.hash = hash;
  }, `#/${view}`);
  await page.waitForSelector("main[aria-busy=false]");
  await page.waitForSelector(".later", { state: "detached" }); // what follows the first paint
  if (view.startsWith("sql")) await page.waitForFunction(() => document.querySelector(".editor > div")?.shadowRoot?.querySelector(".cm-content"));
  if (view.includes("q=")) await page.waitForSelector(".results > *");
};
