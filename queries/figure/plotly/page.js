"use strict";
(() => {
  const figure = JSON.parse(document.getElementById("figure-data").textContent);
  const target = document.getElementById("figure");
  figure.config = {
    responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"],
    // Left alone, plotly.js offers to send the figure to a company.
    showSendToCloud: false, plotlyServerURL: "",
    toImageButtonOptions: { format: "svg", filename: figure.layout.meta.query },
  };
  Plotly.newPlot(target, figure);
  // The figure is drawn for a width that the style sheet makes fit on paper, so that names keep their room.
  window.addEventListener("beforeprint", () => Plotly.relayout(target, { width: 1150 }));
  window.addEventListener("afterprint", () => Plotly.relayout(target, { width: null, autosize: true }));
})();
