// The table of all trials: sorted by a click on a heading, filtered by state, words and bounds.
"use strict";

const COLUMNS = [
  {name: "trial", value: (t) => t.n, write: (t) => letters.has(t.n) ? `${t.n} ${letters.get(t.n)}` : String(t.n)},
  {name: "state", value: (t) => kindOf(t), text: true},
  {name: "val %", value: (t) => t.accuracy, write: (t) => known(t.accuracy, percent)},
  {name: "test %", value: (t) => t.test && t.test[0], write: (t) => known(t.test, interval)},
  {name: "KiB", value: (t) => t.memory, write: (t) => known(t.memory, (v) => digits3(v / 1024))},
  {name: "\u00d7", value: (t) => metric(t, "compression"), write: (t) => known(metric(t, "compression"), digits3)},
  ...["lut", "ff", "dsp", "bram18"].map((name) => ({name: name.toUpperCase(), value: (t) => metric(t, name),
    write: (t) => known(metric(t, name), (v) => v.toLocaleString("en"))})),
  {name: "frames/s", value: (t) => metric(t, "fps"), write: (t) => known(metric(t, "fps"), digits3)},
  {name: "\u00b5s", value: (t) => metric(t, "latency_s"), write: (t) => known(metric(t, "latency_s"), (v) => digits3(1e6 * v))},
  {name: "weight bits", value: bitsOf, text: true},
  {name: "activation bits", value: activationBitsOf, text: true},
  {name: "density %", value: densityOf, text: true},
  {name: "s", value: (t) => t.seconds, write: (t) => known(t.seconds, digits3)},
  {name: "origin", value: (t) => t.origin, text: true},
  {name: "reason", value: (t) => t.reason, text: true, long: true},
];

// Missing values come last whichever way it is sorted.
function compare(column, direction) {
  const missing = (value) => value === null || value === undefined || value === "";
  return (a, b) => {
    const [p, q] = [column.value(a), column.value(b)];
    if (missing(p) || missing(q)) return missing(p) - missing(q) || a.n - b.n;
    const order = typeof p === "string" ? p.localeCompare(q, "en", {numeric: true}) : p - q;
    return direction * order || a.n - b.n;
  };
}

function trialRow(trial) {
  const cells = COLUMNS.map((column) => {
    const kind = column.text ? (column.long ? "text long" : "text") : null;
    const words = column.write ? column.write(trial) : column.value(trial);
    const content = column.name === "state" ? [glyph(kindOf(trial)), " ", words] : [words];
    return html("td", {class: kind}, ...content);
  });
  const row = selectable(html("tr", {}, ...cells), trial.n);
  row.classList.toggle("selected", trial.n === selected);
  return row;
}

function trialTable(box, controls) {
  const rows = new Map(data.trials.map((trial) => [trial.n, trialRow(trial)]));
  const body = html("tbody", {}), count = html("span", {class: "soft", "aria-live": "polite"});
  let sorted = COLUMNS[0], direction = 1;
  const filters = filterInputs(controls, () => show());
  const show = () => {
    const kept = data.trials.filter(filters).sort(compare(sorted, direction));
    body.replaceChildren(...kept.map((trial) => rows.get(trial.n)));
    count.textContent = `${kept.length} of ${data.trials.length} trials`;
  };
  const heads = COLUMNS.map((column) => {
    const button = html("button", {type: "button"}, column.name);
    const head = html("th", {class: column.text ? "text" : null, scope: "col"}, button);
    button.addEventListener("click", () => {
      direction = sorted === column ? -direction : 1;
      sorted = column;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      show();
    });
    return head;
  });
  controls.append(count);
  box.append(html("table", {}, html("thead", {}, html("tr", {}, ...heads)), body));
  show();
}

// Puts the inputs into `controls`; returns what says whether a trial passes them all.
function filterInputs(controls, changed) {
  const words = html("input", {type: "search", placeholder: "words", "aria-label": "Filter by words"});
  const least = html("input", {type: "number", step: "any", min: 0, max: 100, "aria-label": "Least validation accuracy in per cent"});
  const most = html("input", {type: "number", step: "any", min: 0, "aria-label": "Most memory in KiB"});
  const kinds = [...new Set(data.trials.map(kindOf))];
  const boxes = kinds.map((kind) => {
    const input = html("input", {type: "checkbox", value: kind});
    input.checked = true;
    return [kind, input];
  });
  controls.append(words, ...boxes.map(([kind, input]) => html("label", {}, input, glyph(kind), kind)),
    html("label", {}, "val % at least", least), html("label", {}, "KiB at most", most));
  controls.addEventListener("input", changed);
  return (trial) => {
    const text = COLUMNS.filter((column) => column.text).map((column) => column.value(trial)).join(" ").toLowerCase();
    return boxes.some(([kind, input]) => input.checked && kind === kindOf(trial)) &&
      words.value.toLowerCase().split(/\s+/).every((word) => text.includes(word)) &&
      (least.value === "" || (trial.accuracy !== null && 100 * trial.accuracy >= +least.value)) &&
      (most.value === "" || (trial.memory !== null && trial.memory <= 1024 * +most.value));
  };
}
