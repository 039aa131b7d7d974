// Tables with pictures in them: bits and density, where the bytes are, formats, cost per layer.
"use strict";

const bar = (share) => html("span", {class: "bar", style: `width:${(100 * share).toFixed(1)}%`});
const table = (heads, rows, attributes = {}) => html("div", {class: "wide"}, html("table", attributes,
  html("thead", {}, html("tr", {}, ...heads.map((head, index) =>
    html("th", index ? {} : {class: "text"}, head)))),
  html("tbody", {}, ...rows)));

function selectable(row, n) {
  row.dataset.n = n;
  row.tabIndex = 0;
  row.addEventListener("click", () => select(n));
  row.addEventListener("keydown", (event) => { if (event.key === "Enter") select(n); });
  return row;
}
onSelect((n) => {
  for (const row of document.querySelectorAll("tr[data-n]")) {
    row.classList.toggle("selected", row.dataset.n === String(n));
  }
});
const frontLabel = (point) => {
  const trial = trials.get(point.n), letter = letters.get(point.n);
  return html("th", {class: "text"}, letter ? html("span", {class: "badge"}, letter) : null,
    ` #${point.n}  ${point.label}  ${percent(trial.accuracy)} %`);
};

// One row per front point, one cell per layer, as dark as its value is large.
function heatMap(box, kind) {
  const kinds = {
    "weight bits": [(t, i) => t.config[i][1], (v) => v / 16, String],
    "activation bits": [(t, i) => t.config[i][2], (v) => v / 16, String],
    // the square root spreads the densities below 20 %, where most layers of a front lie
    "density %": [(t, i) => 100 * t.packed[i][0], (v) => Math.sqrt(v / 100), (v) => String(+v.toPrecision(v < 10 ? 2 : 3))],
  };
  const [value, depth, write] = kinds[kind];
  const rows = data.front.map((point) => {
    const trial = trials.get(point.n);
    const cells = data.layers.map((_, index) => {
      const v = value(trial, index), alpha = Math.min(0.06 + 0.94 * depth(v), 1);
      const ink = alpha > 0.55 ? ";color:var(--heat-ink)" : "";
      return html("td", {style: `background:rgba(var(--heat),${alpha.toFixed(2)})${ink}`}, write(v));
    });
    return selectable(html("tr", {}, frontLabel(point), ...cells), point.n);
  });
  box.replaceChildren(table(["front point", ...data.layers], rows, {class: "heat"}));
}

function heatMaps(box, controls) {
  const names = ["weight bits", "density %", "activation bits"];
  const buttons = names.map((name) => {
    const button = html("button", {type: "button", "aria-pressed": String(name === names[0])}, name);
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      heatMap(box, name);
    });
    return button;
  });
  controls.append(...buttons);
  heatMap(box, names[0]);
}

// A part keeps its colour and pattern whichever others there are.
const PART_LOOKS = ["weight values", "indices", "biases", "requantization", "header", "coded weights"];
const lookOf = (part) => `part${Math.max(PART_LOOKS.indexOf(part), 0)}`;

function bytesByPart(box) {
  const parts = [...new Set(data.front.flatMap((point) => Object.keys(point.bytes)))];
  const total = (point) => Object.values(point.bytes).reduce((sum, bytes) => sum + bytes, 0);
  const largest = Math.max(...data.front.map(total));
  const rows = data.front.map((point) => {
    const spans = parts.map((part) => html("span", {class: lookOf(part), title: part,
      style: `width:${(100 * (point.bytes[part] || 0) / largest).toFixed(2)}%`}));
    const cells = parts.map((part) => html("td", {}, Math.round(point.bytes[part] || 0).toLocaleString("en")));
    return selectable(html("tr", {}, frontLabel(point), ...cells,
      html("td", {class: "text", style: "width:40%"}, html("div", {class: "stack"}, ...spans))), point.n);
  });
  const key = html("ul", {class: "legend"}, ...parts.map((part) =>
    html("li", {}, html("span", {class: `key ${lookOf(part)}`}), part)));
  box.replaceChildren(key, table(["front point, bytes", ...parts, ""], rows, {style: "width:100%"}));
}

// What each format would take for every layer of the selected point; the smallest was packed.
function formatSizes(box) {
  const show = (n) => {
    const point = frontOf.get(n);
    if (!point) return box.replaceChildren(html("p", {class: "soft"}, notOnFront(n)));
    const formats = [...new Set(point.sizes.flatMap((sizes) => Object.keys(sizes)))];
    const rows = data.layers.map((name, index) => {
      const sizes = point.sizes[index], packed = trials.get(n).packed[index];
      const cells = formats.map((format) => html("td", packed[1] === format ? {class: "least"} : {},
        known(sizes[format], (bits) => Math.ceil(bits / 8).toLocaleString("en"))));
      return html("tr", {}, html("th", {class: "text"}, name), ...cells, html("td", {class: "text"}, packed[1]));
    });
    box.replaceChildren(html("h3", {}, `Bytes of each layer by format, trial ${n}`),
      table(["layer", ...formats, "packed as"], rows));
  };
  onSelect(show);
  show(selected);
}
const notOnFront = (n) =>
  n === null ? "No trial is complete." : `Trial ${n} is not on the front; trials/${n}/result.json has its layers.`;

const shout = (name) => (/^(lut|ff|dsp|bram18|uram|lutram)$/.test(name) ? name.toUpperCase() : name.replaceAll("_", " "));

function costTable(box) {
  const show = (n) => {
    const point = frontOf.get(n);
    if (!point) return box.replaceChildren(html("p", {class: "soft"}, notOnFront(n)));
    const names = ["cycles", "lut", "ff", "dsp", "bram18", "uram"].filter((name) =>
      point.cost.some((layer) => layer[name] !== null));
    const largest = Object.fromEntries(names.map((name) =>
      [name, Math.max(1, ...point.cost.map((layer) => layer[name] || 0))]));
    const rows = point.cost.map((cost) => {
      const cells = names.map((name) => html("td", {style: "min-width:6.2rem"},
        known(cost[name], (v) => v.toLocaleString("en")), bar((cost[name] || 0) / largest[name])));
      const folded = known(cost.pe, (pe) => `${pe} \u00d7 ${cost.simd}`);
      return html("tr", {}, html("th", {class: "text"}, cost.name), ...cells,
        ...[folded, known(cost.weight_memory, String), known(cost.binds, String)].map((cell) => html("td", {}, cell)));
    });
    const used = Object.entries(point.utilization).map(([name, share]) => html("tr", {},
      html("th", {class: "text"}, shout(name)), html("td", {}, `${percent(share, 1)} %`),
      html("td", {class: "text", style: "width:60%"}, bar(Math.min(share, 1)))));
    box.replaceChildren(html("h3", {}, `Trial ${n}: ${known(point.binding, shout)} binds`),
      table(["layer or part", ...names.map(shout), "PE \u00d7 SIMD", "weights in", "bound by"], rows),
      html("h3", {}, "Share of the device"), table(["resource", "used", ""], used, {style: "width:min(36rem,100%)"}));
  };
  onSelect(show);
  show(selected);
}
