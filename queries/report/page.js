"use strict";
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);

  // element makes an element; texts are put in as text.
  const element = (name, attributes, ...children) => {
    const e = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) e.addEventListener(key.slice(2), value);
      else e.setAttribute(key, value);
    }
    e.append(...children);
    return e;
  };
  const number = (x, digits) => x === null ? "–" : Number(x).toPrecision(digits).replace("-", "−");

  // tokens writes a prompt, coloured by attention.
  const tokens = (prompt) => {
    const line = element("span", {});
    prompt.tokens.forEach((text, i) => {
      const span = element("span", { class: `token role-${prompt.roles[i]}`, title: `attention ${prompt.probs[i].toFixed(3)}` }, text.replaceAll("\n", "↵"));
      span.style.backgroundColor = `rgba(230, 159, 0, ${prompt.probs[i]})`;
      line.append(span);
    });
    return line;
  };

  // drillDown shows the prompts behind a cell.
  const drillDown = (index, plot, curve, row, column) => {
    const figure = data.figures[index];
    const place = document.querySelector(`[data-drill="${index}"]`);
    const slider = plot.layout.sliders && plot.layout.sliders[0];
    const frame = slider ? slider.active : 0;
    const at = `${row},${column}`;
    const drivers = figure.drill[frame][curve][at] || [];
    place.replaceChildren(
      element("button", { type: "button", class: "close", onclick: () => { place.hidden = true; } }, "Close"),
      element("h4", {}, `The prompts behind ${figure.labels[curve][at] || "this cell"}`));
    place.hidden = false;
    if (drivers.length === 0) {
      place.append(element("p", { class: "hint" }, "The report has no prompts for this cell."));
      return;
    }
    const body = element("tbody", {});
    for (const [prompt, value, share] of drivers) {
      const p = data.prompts[prompt];
      body.append(element("tr", {},
        element("td", { class: "number" }, String(p.id)), element("td", { class: "number" }, number(value, 3)),
        element("td", { class: "number" }, share === null ? "–" : `${share.toFixed(1).replace("-", "−")} %`), element("td", {}, tokens(p))));
    }
    place.append(element("div", { class: "scroll" }, element("table", {},
      element("thead", {}, element("tr", {}, ...["prompt", "contribution", "share of the sum", "tokens"].map((t, i) => element("th", i < 3 ? { class: "number" } : {}, t)))), body)));
  };

  const plots = [...document.querySelectorAll("[data-figure]")];
  const drawn = () => plots.filter((p) => p.classList.contains("js-plotly-plot"));
  const drawOne = async (index, target) => {
    const { plot, drill } = data.figures[index];
    plot.config = {
      responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"],
      // Left alone, plotly.js offers to send the figure to a company.
      showSendToCloud: false, plotlyServerURL: "",
      toImageButtonOptions: { format: "svg", filename: plot.layout.meta.query },
    };
    await Plotly.newPlot(target, plot);
    if (!drill) return;
    target.on("plotly_click", (event) => {
      const point = event.points[0];
      // Cells outside of the colour scale are points, in traces behind those of the panels.
      const cells = point.data.type === "heatmap";
      const panels = target.data.filter((trace) => trace.type === "heatmap").length;
      const [row, column] = cells ? point.pointNumber || point.pointIndex : [point.y, point.x];
      drillDown(index, target, point.curveNumber % panels, row, column);
    });
  };
  // A figure that is folded away has no width yet, and is drawn when it is opened.
  const draw = async () => {
    for (const [index, target] of plots.entries()) {
      const folded = target.closest("details:not([open])");
      if (folded) folded.addEventListener("toggle", () => drawOne(index, target), { once: true });
      else await drawOne(index, target);
    }
    document.documentElement.dataset.ready = "yes";
  };
  draw();
  // Figures are drawn for a width that the style sheet makes fit on paper, so that names keep their room.
  window.addEventListener("beforeprint", () => drawn().forEach((p) => Plotly.relayout(p, { width: 1150 })));
  window.addEventListener("afterprint", () => drawn().forEach((p) => Plotly.relayout(p, { width: null, autosize: true })));

  // The table of prompts.
  const table = document.getElementById("prompt-table");
  if (!table) return;
  const columns = [
    ["prompt", (p) => p.id], ["score", (p) => p.score], ["baseline", (p) => p.baseline], ["difference", (p) => p.diff], ["attention", (p) => p.prob],
  ];
  const few = 40;
  let by = 0, down = false, all = data.prompts.length <= few, find = "";
  const body = element("tbody", {});
  const heads = columns.map(([name], i) => element("th", { class: "number" },
    element("button", { type: "button", onclick: () => { down = by === i ? !down : i > 0; by = i; fill(); } }, name)));
  table.append(element("thead", {}, element("tr", {}, ...heads, element("th", {}, "tokens"))), body);
  const fill = () => {
    const key = columns[by][1];
    const list = data.prompts.filter((p) => find === "" || String(p.id) === find || p.tokens.join("").toLowerCase().includes(find));
    list.sort((a, b) => {
      const x = key(a), y = key(b);
      if (x === null || y === null) return (x === null) - (y === null) || a.id - b.id;
      return (down ? y - x : x - y) || a.id - b.id;
    });
    heads.forEach((h, i) => h.setAttribute("aria-sort", i !== by ? "none" : down ? "descending" : "ascending"));
    const rows = all ? list : list.slice(0, few);
    body.replaceChildren(...rows.map((p) => element("tr", {},
      ...columns.map(([, get], i) => element("td", { class: "number" }, i === 0 ? String(p.id) : number(get(p), 3))), element("td", {}, tokens(p)))));
    document.getElementById("shown").textContent = `${rows.length} of ${list.length} shown`;
    document.getElementById("all").hidden = all || list.length <= few;
  };
  document.getElementById("find").addEventListener("input", (event) => { find = event.target.value.trim().toLowerCase(); fill(); });
  document.getElementById("all").addEventListener("click", () => { all = true; fill(); });
  fill();
})();
