// Puts every picture into its place on the page.
"use strict";

const place = (id) => document.getElementById(id);
const fill = (draw, ...ids) => {
  const boxes = ids.map(place);
  if (boxes.every(Boolean)) draw(...boxes);
};

fill(frontPlot, "front-plot", "front-controls");
fill(detail, "detail");
fill(hypervolumePlots, "history-trials", "history-time");
if (data.front.length) {
  fill(heatMaps, "heat", "heat-controls");
  fill(bytesByPart, "parts");
  fill(formatSizes, "formats");
  fill(costTable, "cost-table");
}
fill(sensitivityPlots, "sensitivity-plots");
fill(importanceBars, "importances");
fill(parallelPlot, "parallel", "parallel-controls");
fill(trialTable, "trial-table", "trial-controls");

for (const button of document.querySelectorAll("button[data-select]")) {
  button.addEventListener("click", () => {
    select(Number(button.dataset.select));
    place("front").scrollIntoView();
  });
}
for (const box of document.querySelectorAll("[data-deploy]")) {
  const trial = trials.get(Number(box.dataset.deploy));
  box.append(copyButton("Copy deploy command", () => deployText(trial)));
}
select(selected);
document.documentElement.dataset.ready = "true";
