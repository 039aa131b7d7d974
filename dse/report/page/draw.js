// Drawing: elements, scales with their ticks, the marks of each kind of trial, the tooltip.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const DASH = "\u2013";

function put(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}
const html = (tag, attributes = {}, ...children) =>
  put(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) =>
  put(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

// Numbers as dse/report/text.py writes them.
const digits3 = (value) =>
  value >= 99.95
    ? Math.round(value).toLocaleString("en")
    : value.toFixed(value >= 9.995 ? 1 : 2);
const percent = (share, digits = 2) => (100 * share).toFixed(digits);
const known = (value, write) => (value === null || value === undefined ? DASH : write(value));
function memory(bytes) {
  if (bytes < 1024) return `${Math.round(bytes)} B`;
  return bytes < 1048576 ? `${digits3(bytes / 1024)} KiB` : `${digits3(bytes / 1048576)} MiB`;
}
const interval = (test) =>
  `${percent(test[0])} (${percent(test[1])}\u2013${percent(test[2])})`;

// A scale maps a domain onto pixels; `map` bends it first (logarithm, stretched accuracy).
function scale(domain, range, map = (x) => x) {
  const [low, high] = domain.map(map);
  const unit = (range[1] - range[0]) / (high - low || 1);
  return (value) => range[0] + (map(value) - low) * unit;
}
const stretch = (accuracy) =>
  -Math.log10(Math.max(1 - accuracy, -data.axis.knee / 2) + data.axis.knee);
const unstretch = (height) => 1 + data.axis.knee - 10 ** -height;

// Of ticks, the first of those that lie closer than `gap` pixels; important ones come first.
function thinned(ticks, place, gap) {
  const kept = [];
  for (const tick of ticks) {
    if (kept.every((other) => Math.abs(place(other) - place(tick)) >= gap)) kept.push(tick);
  }
  return kept;
}
function memoryTicks(low, high) {
  for (const parts of [1, 2, 4, 8, 16]) {
    const ticks = [];
    for (let power = Math.floor(Math.log2(low)); 2 ** power <= high; power++) {
      for (let part = 0; part < parts; part++) ticks.push(2 ** power * (1 + part / parts));
    }
    const inside = ticks.filter((tick) => low <= tick && tick <= high);
    if (inside.length >= 3) return inside;
  }
  return [low, high];
}
const shortMemory = (bytes) =>
  bytes < 1024 ? `${bytes} B` : bytes < 1048576
    ? `${+(bytes / 1024).toPrecision(4)} KiB` : `${+(bytes / 1048576).toPrecision(4)} MiB`;
function niceTicks(low, high, count) {
  const raw = (high - low || 1) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw);
  const ticks = [];
  for (let at = Math.ceil(low / step); at * step <= high * (1 + 1e-9); at++) ticks.push(at * step);
  return ticks.map((tick) => +tick.toPrecision(10));
}

// Grid lines with their names; the box is {left, right, top, bottom} in pixels.
function xAxis(box, ticks, place, name, title) {
  const marks = ticks.map((tick) => [
    svg("line", {class: "grid", x1: place(tick), x2: place(tick), y1: box.top, y2: box.bottom}),
    svg("text", {x: place(tick), y: box.bottom + 17, "text-anchor": "middle"}, name(tick)),
  ]);
  const middle = (box.left + box.right) / 2;
  return svg("g", {}, ...marks,
    svg("text", {x: middle, y: box.bottom + 35, "text-anchor": "middle"}, title));
}
function yAxis(box, ticks, place, name, title) {
  const marks = ticks.map((tick) => [
    svg("line", {class: "grid", x1: box.left, x2: box.right, y1: place(tick), y2: place(tick)}),
    svg("text", {x: box.left - 7, y: place(tick) + 4, "text-anchor": "end"}, name(tick)),
  ]);
  return svg("g", {}, ...marks, svg("text", {x: 2, y: box.top - 10}, title));
}

// One shape per kind, so that colour is never what tells them apart.
const SHAPES = {
  front: "M0-5a5 5 0 1 0 .01 0z",
  dominated: "M-3.5-3.5h7v7h-7z",
  infeasible: "M0-6.5V6.5",
  skipped: "M-4.5-3.5h9L0 4.5z",
  failed: "M-4-4L4 4M-4 4L4-4",
  test: "M0-5L5 0 0 5-5 0z",
  reference: "M0-8l1.9 5.5 5.7.1-4.6 3.5 1.7 5.6L0 3.3l-4.7 3.4 1.7-5.6-4.6-3.5 5.7-.1z",
};
const mark = (kind, x, y) =>
  svg("path", {class: `mark ${kind}`, d: SHAPES[kind] || SHAPES.failed,
    transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`});
const glyph = (kind) =>
  svg("svg", {class: "glyph", viewBox: "-9 -9 18 18", "aria-hidden": "true"}, mark(kind, 0, 0));

// Names are placed as dse/report/labels.py does it; sizes and distances in pixels.
const LETTER = 6.5, LINE = 13;  // of the page's 12 pixel letters, rather more than less
const DISTANCES = [9, 16, 26];
const SIDES = [[0, -1], [0, 1], [1, 0], [-1, 0], [1, 1], [-1, -1], [1, -1], [-1, 1]];
const PLACE_STEP = 4;

function along([fromX, fromY], [toX, toY]) {
  const count = Math.ceil(Math.hypot(toX - fromX, toY - fromY) / PLACE_STEP) || 1;
  return Array.from({length: count + 1}, (_, part) =>
    [fromX + (toX - fromX) * part / count, fromY + (toY - fromY) * part / count]);
}

// Left end and middle height of a name beside `at` that covers the fewest of the `taken` places.
function freePlace([atX, atY], [wide, high], taken, box) {
  let best = null, fewest = Infinity;
  for (const distance of DISTANCES) for (const [right, down] of SIDES) {
    const left = atX - wide / 2 + right * (wide / 2 + distance);
    const x = Math.max(box.left, Math.min(left, box.right - wide));
    const y = atY + down * (high / 2 + distance);
    if (y - high / 2 < 0 || y + high / 2 > box.bottom) continue;
    const covered = taken.filter(([otherX, otherY]) => x - 5 <= otherX && otherX <= x + wide + 5 &&
      Math.abs(otherY - y) <= high / 2 + 4).length;
    if (covered < fewest) [best, fewest] = [[x, y], covered];
  }
  return best;
}

// Draws again whenever the width of `box` changes; `paint` gets it in pixels.
function responsive(box, paint) {
  let width = 0;
  const draw = () => {
    const now = Math.round(box.clientWidth);
    if (now > 0 && now !== width) {
      width = now;
      box.replaceChildren(...[paint(width)].flat());
    }
  };
  new ResizeObserver(draw).observe(box);
  draw();
  return () => { width = 0; draw(); };
}

const tip = document.getElementById("tip");
function showTip(content, x, y) {
  tip.replaceChildren(...content);
  tip.hidden = false;
  const {width, height} = tip.getBoundingClientRect();
  const left = x + 16 + width > innerWidth ? x - width - 16 : x + 16;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, Math.min(y + 14, innerHeight - height - 4))}px`;
}
const hideTip = () => { tip.hidden = true; };

// Shows what `words` says of the dot nearest to the pointer, if one is near; returns the finder.
const REACH = 26;  // pixels from which a point still counts as pointed at
function pointAt(picture, dots, width, words) {
  const nearest = (event) => {
    const frame = picture.getBoundingClientRect(), zoom = width / frame.width;
    const px = (event.clientX - frame.left) * zoom, py = (event.clientY - frame.top) * zoom;
    let best = null, reach = REACH;
    for (const dot of dots) {
      const distance = Math.hypot(dot.x - px, dot.y - py);
      if (distance < reach) [best, reach] = [dot, distance];
    }
    return best;
  };
  picture.addEventListener("pointermove", (event) => {
    const dot = nearest(event);
    if (dot) showTip(words(dot), event.clientX, event.clientY);
    else hideTip();
  });
  picture.addEventListener("pointerleave", hideTip);
  return nearest;
}
addEventListener("scroll", hideTip, {passive: true});
