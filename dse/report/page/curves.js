// Line plots: how the hypervolume grew, what each layer loses by bits and by pruning.
"use strict";

const DASHES = ["", "7 3", "2 3", "9 3 2 3", "4 4", "12 4"];
const HUES = ["#0072b2", "#d55e00", "#009e73", "#aa4499", "#b8860b", "#56b4e9", "#7d8792"];
const MOST_LINES = 14;  // more lines than this cannot be told apart

// A plot of {name, points: [[x, y]], step} lines; `axes` holds names and whether y is logarithmic.
function linePlot(box, lines, axes) {
  responsive(box, (width) => {
    const height = Math.max(210, Math.min(width * 0.62, 300));
    const frame = {left: 56, right: width - 12, top: 26, bottom: height - 42};
    const points = lines.flatMap((line) => line.points);
    const [low, high] = extent(points.map((point) => point[1]));
    const x = scale(extent(points.map((point) => point[0])), [frame.left, frame.right]);
    const y = axes.log
      ? scale([low, high], [frame.bottom, frame.top], Math.log10)
      : scale([0, high || 1], [frame.bottom, frame.top]);
    const ticks = axes.log ? decades(low, high) : niceTicks(0, high || 1, 4);
    const picture = svg("svg", {viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": `${axes.y} against ${axes.x}`},
    xAxis(frame, niceTicks(...extent(points.map((point) => point[0])), 5), x, String, axes.x),
    yAxis(frame, ticks, y, (tick) => (axes.log ? tick.toExponential(0) : String(tick)), axes.y));
    const dots = [];
    lines.forEach((line, index) => {
      const at = line.points.map(([a, b]) => [x(a), y(Math.max(b, axes.log ? low : b))]);
      const path = at.map(([px, py], place) =>
        place === 0 ? `M${px.toFixed(1)} ${py.toFixed(1)}`
          : line.step ? `H${px.toFixed(1)}V${py.toFixed(1)}` : `L${px.toFixed(1)} ${py.toFixed(1)}`);
      picture.append(svg("path", {d: path.join(""), fill: "none", "stroke-width": 2,
        stroke: HUES[index % HUES.length], "stroke-dasharray": DASHES[index % DASHES.length]}));
      at.forEach(([px, py], place) => dots.push({x: px, y: py, line, point: line.points[place]}));
    });
    pointAt(picture, dots, width, ({line, point}) => [html("b", {}, line.name),
      html("div", {}, `${axes.x}: ${+point[0].toPrecision(4)}`),
      html("div", {}, `${axes.y}: ${+point[1].toPrecision(4)}`)]);
    return picture;
  });
}

const extent = (values) => [Math.min(...values), Math.max(...values)];
function decades(low, high) {
  const ticks = [];
  for (let power = Math.ceil(Math.log10(low)); 10 ** power <= high; power++) ticks.push(10 ** power);
  return ticks.length > 6 ? ticks.filter((_, index) => index % 2 === 0) : ticks;
}

function lineKey(names) {
  return html("ul", {class: "legend"}, ...names.map((name, index) => html("li", {},
    svg("svg", {viewBox: "0 0 24 16"}, svg("path", {d: "M0 8H24", "stroke-width": 3,
      stroke: HUES[index % HUES.length], "stroke-dasharray": DASHES[index % DASHES.length]})),
    " ", name)));
}

function hypervolumePlots(byTrials, byTime) {
  const steps = data.history;
  if (!steps.length) return;
  const line = (points) => [{name: "hypervolume", step: true, points}];
  const axes = {y: "hypervolume"};
  linePlot(byTrials, line([[0, 0], ...steps.map((s) => [s.trials, s.hypervolume])]), {...axes, x: "trials"});
  if (steps.some((step) => step.seconds === null)) {
    byTime.append(html("p", {class: "soft"}, "The times of some trials are not known."));
    return;
  }
  const [unit, name] = steps.at(-1).seconds > 5400 ? [3600, "hours"] : [60, "minutes"];
  linePlot(byTime, line([[0, 0], ...steps.map((s) => [s.seconds / unit, s.hypervolume])]),
    {...axes, x: `${name} of evaluation`});
}

// The layers that lose most at their fewest bits, where there are too many to tell apart.
function mostSensitive() {
  const worst = ([, layer]) => Math.max(...layer.weights.map((row) => row[2]));
  const layers = Object.entries(data.sensitivity);
  if (layers.length <= MOST_LINES) return layers;
  return [...layers].sort((a, b) => worst(b) - worst(a)).slice(0, MOST_LINES);
}

function sensitivityPlots(box) {
  const layers = mostSensitive();
  const sorted = (points) => points.map(([a, b]) => [a, Math.max(b, 1e-6)]).sort((a, b) => a[0] - b[0]);
  const least = (rows) => Math.min(...rows.map((row) => row[0]));
  const most = (rows) => Math.max(...rows.map((row) => row[1]));
  const kinds = [
    ["weight bits", (l) => l.weights.filter((row) => row[0] === least(l.weights)).map((row) => [row[1], row[2]])],
    ["prune ratio", (l) => l.weights.filter((row) => row[1] === most(l.weights)).map((row) => [row[0], row[2]])],
    ["activation bits", (l) => l.activations],
  ];
  for (const [name, pick] of kinds) {
    const plot = html("figure", {});
    box.append(plot);
    linePlot(plot, layers.map(([layer, values]) => ({name: layer, points: sorted(pick(values))})),
      {x: name, y: "loss in nats", log: true});
  }
  box.after(lineKey(layers.map(([name]) => name)));
}
