// How the search went: which choices mattered, and parallel coordinates of the complete trials.
"use strict";

const MOST_BARS = 15;

function importanceBars(box) {
  for (const item of data.importances) {
    const shares = Object.entries(item.shares).sort((a, b) => b[1] - a[1]).slice(0, MOST_BARS);
    const rows = shares.map(([name, share]) => html("tr", {}, html("th", {class: "text"}, name.replaceAll("_", " ")),
      html("td", {}, `${percent(share, 1)} %`), html("td", {class: "text", style: "width:55%"}, bar(share / (shares[0][1] || 1)))));
    const trust = `The forest explains ${percent(Math.max(item.explained, 0), 0)} % of trials it has not seen` +
      (item.explained < 0.3 ? ": too little to trust this ranking." : ".");
    box.append(html("div", {}, html("h3", {}, item.metric === "accuracy" ? "What decided accuracy" : "What decided memory"),
      table(["choice", "share", ""], rows, {style: "width:100%"}), html("p", {class: "soft"}, trust)));
  }
  if (!data.importances.length) box.append(html("p", {class: "soft"}, "Too few complete trials to say."));
}

function parallelAxes(kind) {
  const place = {"weight bits": 1, "activation bits": 2, "prune ratio": 0}[kind];
  const complete = data.trials.filter((trial) => trial.state === "complete");
  const span = (values) => [Math.min(...values), Math.max(...values)];
  const range = place ? span(complete.flatMap((trial) => trial.config.map((layer) => layer[place]))) : [0, 1];
  const layers = data.layers.map((name, index) =>
    ({name, value: (trial) => trial.config[index][place], range, map: (v) => v, write: String}));
  return [...layers,
    {name: "memory", value: (t) => t.memory, range: span(complete.map((t) => t.memory)), map: Math.log2, write: memory},
    {name: "accuracy", value: (t) => t.accuracy, range: span(complete.map((t) => t.accuracy)), map: stretch,
      write: (v) => `${percent(v, 1)} %`}];
}

function parallelPlot(box, controls) {
  let kind = "weight bits";
  const complete = data.trials.filter((trial) => trial.state === "complete");
  if (!complete.length) return box.append(html("p", {class: "soft"}, "No complete trial."));
  const redraw = responsive(box, (width) => paintParallel(Math.max(width, 62 * (data.layers.length + 2)), kind, complete));
  for (const name of ["weight bits", "prune ratio", "activation bits"]) {
    const button = html("button", {type: "button", "aria-pressed": String(name === kind)}, name);
    button.addEventListener("click", () => {
      kind = name;
      for (const other of controls.children) other.setAttribute("aria-pressed", String(other === button));
      redraw();
    });
    controls.append(button);
  }
  onSelect(redraw);
}

function paintParallel(width, kind, complete) {
  const axes = parallelAxes(kind), height = 320, top = 34, bottom = height - 24;
  const at = (index) => 40 + (width - 90) * index / (axes.length - 1);
  const scales = axes.map((axis) => scale(axis.range, [bottom, top], axis.map));
  // equal widths would lie on one another: each trial is shifted by its number, up to 4 pixels
  const shift = (trial, index) => (index < axes.length - 2 && kind !== "prune ratio" ? ((trial.n * 7) % 9) - 4 : 0);
  const picture = svg("svg", {viewBox: `0 0 ${width} ${height}`, role: "img",
    style: `width:${width}px;max-width:none`, "aria-label": `Parallel coordinates of ${kind}`});
  const style = {dominated: ["var(--dominated)", Math.min(0.3, 40 / complete.length), 1], front: ["var(--front)", 0.85, 1.8]};
  const order = [...complete].sort((a, b) => frontOf.has(a.n) - frontOf.has(b.n) || (a.n === selected) - (b.n === selected));
  const lines = order.map((trial) => {
    const [stroke, opacity, thick] = trial.n === selected ? ["var(--test)", 1, 3.5] : style[kindOf(trial)];
    const d = axes.map((axis, index) => `${index ? "L" : "M"}${at(index).toFixed(1)} ` +
      (scales[index](axis.value(trial)) + shift(trial, index)).toFixed(1)).join("");
    const line = svg("path", {d, fill: "none", stroke, "stroke-opacity": opacity, "stroke-width": thick});
    line.addEventListener("pointerenter", (event) => showTip(tipOf(trial), event.clientX, event.clientY));
    line.addEventListener("pointerleave", hideTip);
    line.addEventListener("click", () => select(trial.n));
    return line;
  });
  picture.append(...lines, ...axes.map((axis, index) => svg("g", {},
    svg("line", {class: "axis", x1: at(index), x2: at(index), y1: top - 4, y2: bottom + 4}),
    svg("text", {class: "strong halo", x: at(index), y: 14, "text-anchor": "middle"}, axis.name),
    svg("text", {class: "halo", x: at(index), y: top - 7, "text-anchor": "middle"}, axis.write(axis.range[1])),
    svg("text", {class: "halo", x: at(index), y: bottom + 17, "text-anchor": "middle"}, axis.write(axis.range[0])))));
  return picture;
}
