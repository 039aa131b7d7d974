// Several fronts on one plot: a shape, a dash and a colour for each study.
"use strict";

const NEAR = 0.1;  // what is further below the best accuracy decides nothing
const SHAPE_OF = ["front", "dominated", "test", "failed", "skipped", "reference"];

function paintFronts(width) {
  const best = Math.max(...data.fronts.flatMap((front) => front.points.map((point) => point[1])));
  const fronts = data.fronts.map((front) =>
    ({...front, points: front.points.filter((point) => point[1] >= best - NEAR)}));
  const points = fronts.flatMap((front) => front.points);
  if (!points.length) return html("p", {}, "No trial is complete.");
  const plot = Math.max(300, Math.min(width * 0.6, 560));
  const box = {left: 64, right: width - 20, top: 26, bottom: 26 + plot};
  const sizes = extent(points.map((point) => point[0])), heights = extent(points.map((point) => stretch(point[1])));
  const margin = 0.08 * Math.max(heights[1] - heights[0], 0.15);
  const range = [unstretch(heights[0] - margin), unstretch(heights[1] + margin)];
  const span = [sizes[0] / 1.15, sizes[1] * 1.15];
  const x = scale(span, [box.left, box.right], Math.log2), y = scale(range, [box.bottom, box.top], stretch);
  const inside = data.axis.ticks.filter((tick) => range[0] <= tick && tick <= range[1]);
  const ticks = thinned(inside.length > 2 ? inside : niceTicks(range[0], Math.min(range[1], 1), 5), y, 30);
  const picture = svg("svg", {viewBox: `0 0 ${width} ${box.bottom + 44}`, role: "img",
    "aria-label": "Fronts of the studies: accuracy against memory"},
  xAxis(box, thinned(memoryTicks(...span), x, 62), x, shortMemory, "memory of the packed model"),
  yAxis(box, ticks, y, (tick) => `${+percent(tick, 3)} %`, "accuracy on validation, stretched towards 100 %"));
  const dots = [];
  fronts.forEach((front, index) => {
    const hue = HUES[index % HUES.length];
    const path = front.points.map(([size, accuracy], place) =>
      (place ? "H" : "M") + x(size).toFixed(1) + (place ? "V" : " ") + y(accuracy).toFixed(1)).join("");
    if (path) picture.append(svg("path", {d: path, fill: "none", stroke: hue, "stroke-width": 1.8,
      "stroke-dasharray": DASHES[index % DASHES.length]}));
    for (const point of front.points) {
      const dot = mark(SHAPE_OF[index % SHAPE_OF.length], x(point[0]), y(point[1]));
      dot.setAttribute("style", `stroke:${hue};fill:${index === 0 ? hue : "var(--card)"}`);
      picture.append(dot);
      dots.push({x: x(point[0]), y: y(point[1]), front, point});
    }
  });
  pointAt(picture, dots, width, ({front, point}) => [html("b", {}, front.name),
    html("div", {}, `trial ${point[2]}: ${percent(point[1])} % in ${memory(point[0])}`)]);
  return [picture, lineKey(fronts.map((front) => front.name))];
}

responsive(document.getElementById("fronts-plot"), paintFronts);
document.documentElement.dataset.ready = "true";
