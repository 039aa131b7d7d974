// The trials: looked up by number, one of them selected, told in words, copied as text.
"use strict";

const trials = new Map(data.trials.map((trial) => [trial.n, trial]));
const frontOf = new Map(data.front.map((point) => [point.n, point]));
const letters = new Map();
for (const {letter, n} of data.chosen) letters.set(n, (letters.get(n) || "") + letter);
const METRIC = Object.fromEntries(data.metrics.map((name, index) => [name, index]));
const metric = (trial, name) => trial.metrics[METRIC[name]];

// On the plots a complete trial is either on the front or dominated.
const kindOf = (trial) =>
  trial.state !== "complete" ? trial.state : frontOf.has(trial.n) ? "front" : "dominated";

const listeners = [];
let selected = data.chosen.length ? data.chosen[0].n : data.front.length ? data.front[0].n : null;
const onSelect = (listener) => { listeners.push(listener); };
function select(n) {
  selected = n;
  for (const listener of listeners) listener(n);
}

const bitsOf = (trial) => trial.config.map((layer) => layer[1]).join("/");
const activationBitsOf = (trial) => trial.config.map((layer) => layer[2]).join("/");
const densityOf = (trial) =>
  trial.packed.map((layer) => +(100 * layer[0]).toPrecision(3)).join("/");

function layerTable(trial, most = Infinity) {
  const heads = ["layer", "pruned", "weight", "activ.", "density", "format"];
  const rows = data.layers.slice(0, most).flatMap((name, index) => {
    const [ratio, weight, activation, channels] = trial.config[index] || [];
    if (weight === undefined) return [];
    const [density, format] = trial.packed[index] || [null, DASH];
    const whole = channels ? ` + ${percent(channels, 0)} % channels` : "";
    const cells = [`${percent(ratio, 1)} %${whole}`, `${weight} b`, `${activation} b`,
      known(density, (value) => `${percent(value, 1)} %`), format];
    return [html("tr", {}, html("th", {class: "text"}, name), ...cells.map((c) => html("td", {}, c)))];
  });
  const left = data.layers.length - most;
  return html("table", {},
    html("thead", {}, html("tr", {}, ...heads.map((head, index) =>
      html("th", index ? {} : {class: "text"}, head)))),
    html("tbody", {}, ...rows),
    left > 0 ? html("tfoot", {}, html("tr", {}, html("td", {colspan: 6, class: "text"},
      `and ${left} more layers`))) : null);
}

function tipOf(trial) {
  const kind = kindOf(trial);
  const words = [html("b", {}, `Trial ${trial.n}, ${kind === "front" ? "on the front" : kind}`)];
  const parts = [];
  if (trial.accuracy !== null) parts.push(`${percent(trial.accuracy)} % validation`);
  if (trial.memory !== null) parts.push(memory(trial.memory));
  if (metric(trial, "fps") !== null) parts.push(`${digits3(metric(trial, "fps"))} frames/s`);
  words.push(html("div", {}, parts.join(" \u00b7 ")));
  if (trial.test) words.push(html("div", {}, `test ${interval(trial.test)} %`));
  if (trial.reason) words.push(html("div", {class: "soft"}, trial.reason));
  words.push(layerTable(trial, 12));
  return words;
}

// A study file's search space with every choice pinned to this trial's.
function configText(trial) {
  const quoted = (name) => (/^[A-Za-z_][\w.]*$/.test(name) ? name : JSON.stringify(name));
  const layers = data.layers.map((name, index) => {
    const [ratio, weight, activation, channels] = trial.config[index];
    return `    ${quoted(name)}: {prune_ratio: ${ratio}, weight_bits: ${weight}, ` +
      `activation_bits: ${activation}${channels ? `, channel_ratio: ${channels}` : ""}}`;
  });
  return `# trial ${trial.n} of ${data.name.replace(/\s+/g, " ")}\nsearch_space:\n  layers:\n` +
    layers.join("\n") + "\n";
}

// Opened from disk the page knows its study's folder; sent to someone, it does not.
function folder() {
  if (location.protocol !== "file:") return "DIR";
  const path = decodeURIComponent(location.pathname).replace(/\/[^/]*$/, "");
  return /^[\w./+:@%-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
const deployText = (trial) => `python -m dse.deploy ${folder()} --trial ${trial.n}`;

function copyButton(label, text) {
  const button = html("button", {type: "button"}, label);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
    } catch {  // a page from disk may not be allowed to
      const area = html("textarea", {style: "position:fixed;opacity:0"});
      area.value = text();
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1500);
  });
  return button;
}
