// The plot of accuracy against memory, and the panel that tells all about the selected trial.
"use strict";

const LANE = 20;  // pixels of each lane of trials without accuracy
const BESIDE = 7;  // pixels from a point of the front to its test accuracy
const NEAR = 0.03;  // the close-up shows what is within three points of the best

function frontPlot(box, controls) {
  let near = true;
  const redraw = responsive(box, (width) => paintFront(width, near));
  const buttons = [["Close-up", true], ["All trials", false]].map(([label, value]) => {
    const button = html("button", {type: "button", "aria-pressed": String(value === near)}, label);
    button.addEventListener("click", () => {
      near = value;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      redraw();
    });
    return button;
  });
  controls.append(...buttons);
  onSelect(redraw);
}

function frontView(near) {
  const complete = data.trials.filter((trial) => trial.state === "complete");
  const best = Math.max(...complete.map((trial) => trial.accuracy));
  const shown = complete.filter((trial) => !near || trial.accuracy >= best - NEAR);
  const points = shown.map((trial) => [trial.memory, trial.accuracy]);
  for (const trial of shown) {
    if (trial.test) points.push([trial.memory, trial.test[1]], [trial.memory, trial.test[2]]);
  }
  for (const item of data.references) {
    if (!near || item.accuracy >= best - NEAR) points.push([item.memory, item.accuracy]);
  }
  if (!near || !points.length) {
    for (const trial of data.trials) if (trial.memory) points.push([trial.memory, null]);
  }
  const sizes = points.map((point) => point[0]);
  const heights = points.filter((point) => point[1] !== null).map((point) => stretch(point[1]));
  if (!heights.length) heights.push(stretch(0.9), stretch(1));
  const [low, high] = [Math.min(...heights), Math.max(...heights)];
  const span = Math.max(high - low, 0.15);
  const ratio = Math.max(Math.log2(Math.max(...sizes) / Math.min(...sizes)), 0.5);
  return {
    shown,
    hidden: complete.length - shown.length,
    sizes: [Math.min(...sizes) / 2 ** (0.04 * ratio), Math.max(...sizes) * 2 ** (0.05 * ratio)],
    accuracies: [unstretch(low - 0.07 * span), unstretch(high + 0.12 * span)],
  };
}

function paintFront(width, near) {
  if (!data.trials.some((trial) => trial.memory)) return [html("p", {}, "No trial has a memory yet.")];
  const view = frontView(near);
  const lanes = data.states.filter((state) =>
    state !== "complete" && data.trials.some((trial) => trial.state === state));
  const plot = Math.max(300, Math.min(width * 0.62, 520));
  const box = {left: 70, right: width - 14, top: 26, bottom: 26 + plot};
  const x = scale(view.sizes, [box.left, box.right], Math.log2);
  const y = scale(view.accuracies, [box.bottom, box.top], stretch);
  const height = box.bottom + 46 + LANE * lanes.length;
  const picture = svg("svg", {
    viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "img",
    "aria-label": "Accuracy against memory. Arrow keys go through the front and the other trials, " +
      "Enter selects.",
  });
  const inside = data.axis.ticks.filter((tick) =>
    view.accuracies[0] <= tick && tick <= view.accuracies[1]);
  const even = niceTicks(view.accuracies[0], Math.min(view.accuracies[1], 1), 5);
  const ticks = thinned(inside.length > 2 ? inside : even, y, 30);
  picture.append(
    xAxis(box, thinned(memoryTicks(...view.sizes), x, 62), x, shortMemory, "memory of the packed model"),
    yAxis(box, ticks, y, (tick) => `${+percent(tick, 3)} %`, "accuracy, stretched towards 100 %"));
  const dots = [];
  const add = (kind, trial, px, py) => {
    const point = mark(kind, px, py);
    if (trial.n === selected) point.classList.add("selected");
    point.dataset.n = trial.n;
    picture.append(point);
    dots.push({trial, x: px, y: py});
  };
  picture.append(...guessLine(view, x, y));
  for (const trial of view.shown.filter((item) => kindOf(item) === "dominated")) {
    add("dominated", trial, x(trial.memory), y(trial.accuracy));
  }
  picture.append(...frontLine(view, x, y));
  for (const trial of view.shown.filter((item) => kindOf(item) === "front")) {
    add("front", trial, x(trial.memory), y(trial.accuracy));
  }
  picture.append(...referenceMarks(box, view, x, y, dots), ...chosenMarks(view, x, y));
  lanes.forEach((state, lane) => drawLane({state, y: box.bottom + 54 + LANE * lane}, box, x, add, picture));
  listen(picture, dots, width);
  const below = view.hidden && html("p", {class: "soft"},
    `Less accurate trials that lie below the picture: ${view.hidden}, see All trials.`);
  return [picture, legend(lanes), ...(below ? [below] : [])];
}

const frontShown = (view) =>
  view.shown.filter((trial) => frontOf.has(trial.n)).sort((a, b) => a.memory - b.memory);

function frontLine(view, x, y) {
  const points = frontShown(view);
  const path = points.map((trial, index) =>
    index ? `H${x(trial.memory).toFixed(1)}V${y(trial.accuracy).toFixed(1)}`
      : `M${x(trial.memory).toFixed(1)} ${y(trial.accuracy).toFixed(1)}`).join("");
  const bars = points.filter((trial) => trial.test).map((trial) => {
    const at = x(trial.memory) + BESIDE;
    return svg("g", {class: "interval"},
      svg("path", {class: "mark test", d: `M${at} ${y(trial.test[1])}V${y(trial.test[2])}` +
        `M${at - 3} ${y(trial.test[1])}h6M${at - 3} ${y(trial.test[2])}h6`}),
      mark("test", at, y(trial.test[0])));
  });
  return path ? [svg("path", {class: "step", d: path}), ...bars] : [];
}

// The front of the configs guessed from sensitivity alone: what no search would have given.
function guessLine(view, x, y) {
  let best = -1;
  const steps = view.shown.filter((trial) => trial.origin === "sensitivity")
    .sort((a, b) => a.memory - b.memory || b.accuracy - a.accuracy)
    .filter((trial) => trial.accuracy > best && ((best = trial.accuracy), true));
  if (steps.length < 2) return [];
  const path = steps.map((trial, index) =>
    (index ? "H" : "M") + x(trial.memory).toFixed(1) + (index ? "V" : " ") +
      y(trial.accuracy).toFixed(1)).join("");
  return [svg("path", {class: "guess", d: path})];
}

// Stars, named where the name covers neither a trial nor an interval nor the front's line.
function referenceMarks(box, view, x, y, dots) {
  const shown = data.references.filter((item) => view.accuracies[0] <= item.accuracy &&
    view.sizes[0] <= item.memory && item.memory <= view.sizes[1]);
  const at = (item) => [x(item.memory), y(item.accuracy)];
  const taken = [...dots.map((dot) => [dot.x, dot.y]), ...shown.map(at), ...frontPlaces(view, x, y)];
  return shown.flatMap((item) => {
    const [left, middle] = freePlace(at(item), [LETTER * item.name.length, LINE], taken, box);
    for (let right = 0; right <= item.name.length; right++) {
      taken.push([left + LETTER * right, middle - LINE / 2], [left + LETTER * right, middle + LINE / 2]);
    }
    return [mark("reference", ...at(item)),
      svg("text", {x: left, y: middle + 4, class: "halo name"}, item.name)];
  });
}

// Pixels along what is drawn of the front beside its dots: steps, test intervals, letters.
function frontPlaces(view, x, y) {
  const points = frontShown(view);
  const steps = points.slice(1).flatMap((trial, index) => {
    const [fromX, fromY] = [x(points[index].memory), y(points[index].accuracy)];
    return [...along([fromX, fromY], [x(trial.memory), fromY]),
      ...along([x(trial.memory), fromY], [x(trial.memory), y(trial.accuracy)])];
  });
  const bars = points.filter((trial) => trial.test).flatMap((trial) => {
    const at = x(trial.memory) + BESIDE;
    return along([at, y(trial.test[1])], [at, y(trial.test[2])]);
  });
  const named = view.shown.filter((trial) => letters.has(trial.n)).flatMap((trial) =>
    along([x(trial.memory) - 24, y(trial.accuracy) - 14], [x(trial.memory), y(trial.accuracy) - 10]));
  return [...steps, ...bars, ...named];
}

function chosenMarks(view, x, y) {
  return view.shown.filter((trial) => letters.has(trial.n)).map((trial) =>
    svg("g", {},
      svg("circle", {class: "halo-ring", cx: x(trial.memory), cy: y(trial.accuracy), r: 10}),
      svg("text", {class: "strong halo", x: x(trial.memory) - 13, y: y(trial.accuracy) - 9,
        "text-anchor": "end"}, letters.get(trial.n))));
}

// Trials that have no accuracy: by memory, or by number where even that is unknown.
function drawLane(lane, box, x, add, picture) {
  picture.append(
    svg("line", {class: "grid", x1: box.left, x2: box.right, y1: lane.y, y2: lane.y}),
    svg("text", {x: box.left - 7, y: lane.y + 4, "text-anchor": "end", "font-size": "11"}, lane.state));
  const members = data.trials.filter((trial) => trial.state === lane.state);
  members.forEach((trial, index) => {
    const byNumber = box.left + 8 + (box.right - box.left - 16) * (index + 0.5) / members.length;
    const at = trial.memory ? Math.min(Math.max(x(trial.memory), box.left), box.right) : byNumber;
    add(lane.state in SHAPES ? lane.state : "failed", trial, at, lane.y);
  });
}

function legend(lanes) {
  const items = [["front", "front, validation"], ["test", "front, test with 95 % interval (drawn beside)"],
    ["dominated", "dominated"], ...lanes.map((state) => [state, `${state}, no accuracy`]),
    ...(data.references.length ? [["reference", "to compare with"]] : [])];
  const guesses = data.trials.some((trial) => trial.origin === "sensitivity");
  const line = svg("svg", {viewBox: "0 0 24 16"}, svg("path", {class: "guess", d: "M0 8H24"}));
  return html("ul", {class: "legend"}, ...items.map(([kind, text]) => html("li", {}, glyph(kind), " ", text)),
    guesses ? html("li", {}, line, " sensitivity alone, no search") : null);
}

function listen(picture, dots, width) {
  const nearest = pointAt(picture, dots, width, (dot) => tipOf(dot.trial));
  picture.addEventListener("click", (event) => {
    const dot = nearest(event);
    if (dot) select(dot.trial.n);
  });
  const onFront = dots.filter((dot) => kindOf(dot.trial) === "front").sort((a, b) => a.x - b.x);
  const all = [...dots].sort((a, b) => a.trial.n - b.trial.n);
  let current = dots.find((dot) => dot.trial.n === selected) || onFront[0];
  picture.addEventListener("keydown", (event) => {
    const along = {ArrowLeft: [onFront, -1], ArrowRight: [onFront, 1],
      ArrowUp: [all, 1], ArrowDown: [all, -1]}[event.key];
    if (along && along[0].length) {
      const [list, step] = along;
      const at = list.indexOf(current);
      current = at < 0 ? list[0] : list[(at + step + list.length) % list.length];
      const frame = picture.getBoundingClientRect(), zoom = frame.width / width;
      showTip(tipOf(current.trial), frame.left + current.x * zoom, frame.top + current.y * zoom);
    } else if (event.key === "Enter" && current) {
      select(current.trial.n);
      document.querySelector("#front-plot svg").focus();
    } else if (event.key === "Escape") hideTip();
    else return;
    event.preventDefault();
  });
  picture.addEventListener("blur", hideTip);
}

function detail(box) {
  const show = (n) => {
    const trial = trials.get(n);
    if (!trial) return box.replaceChildren(html("p", {}, "No trial to show."));
    const facts = [["state", trial.state], ["proposed by", trial.origin],
      ["validation", known(trial.accuracy, (v) => `${percent(v)} %`)],
      ["test (95 %)", known(trial.test, (v) => `${interval(v)} %`)],
      ["memory", known(trial.memory, (v) => `${v.toLocaleString("en")} bytes`)],
      ["compression", known(metric(trial, "compression"), (v) => `${digits3(v)}\u00d7`)],
      ["frames/s", known(metric(trial, "fps"), digits3)],
      ["latency", known(metric(trial, "latency_s"), (v) => `${digits3(1e6 * v)} \u00b5s`)],
      ["LUT / DSP / BRAM18", ["lut", "dsp", "bram18"].map((name) =>
        known(metric(trial, name), (v) => v.toLocaleString("en"))).join(" / ")],
      ["evaluated in", known(trial.seconds, (v) => `${digits3(v)} s`)]];
    if (trial.reason) facts.push(["reason", trial.reason]);
    const ready = trial.state === "complete";
    box.replaceChildren(
      html("h3", {}, `Trial ${trial.n} `, letters.has(n) ? html("span", {class: "badge"}, letters.get(n)) : null),
      html("dl", {}, ...facts.flatMap(([term, value]) => [html("dt", {}, term), html("dd", {}, value)])),
      html("div", {class: "wide"}, layerTable(trial)),
      html("div", {class: "row"}, copyButton("Copy config", () => configText(trial)),
        ready ? copyButton("Copy deploy command", () => deployText(trial)) : null),
      ready ? html("pre", {}, deployText(trial)) : html("p", {class: "soft"}, "Only complete trials can be deployed."));
  };
  onSelect(show);
  show(selected);
}
