// Attended series: the past, the forecast and the truth as lines, the background dark where it looked.
const BOX = { left: 58, right: 890, top: 12, bottom: 296 };
const time = { place: null, hovered: null };

views.series = {
  asked: (example) => example.text || example.panels.map((panel) => panel.name).join(", "),
  draw(example) {
    find("variable").replaceChildren(...example.panels.map((panel, index) => {
      const option = make("option", "", panel.name);
      option.value = index;
      return option;
    }));
    find("variables").hidden = example.panels.length < 2;
    find("truth").hidden = !example.panels.some((panel) => panel.truth.length);
    find("top").textContent = example.top / data.scale;
    find("told").textContent = [views.series.asked(example), example.answer].filter(Boolean).join(" → ");
    drawPlot();
  },
  step(steps) {
    const all = count();
    if (!all) return;
    const from = time.place ?? (steps > 0 ? -1 : all);
    time.place = Math.max(0, Math.min(from + steps, all - 1));
    showTime();
  },
};

const panel = () => current().panels[Number(find("variable").value) || 0];
const count = () => current().length + current().horizon;
const across = (place) => BOX.left + (BOX.right - BOX.left) * (place + 0.5) / Math.max(count(), 1);

function draw(tag, className, attributes, text) {
  const plot = find("plot"), element = document.createElementNS(plot.namespaceURI, tag);
  element.setAttribute("class", className);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  plot.append(element);
  return element;
}

function drawPlot() {
  const { left, right, top, bottom } = BOX, { past, predicted, truth, row, name } = panel(), example = current();
  Object.assign(time, { place: null, hovered: null });
  find("plot").replaceChildren();
  const values = [...past, ...predicted, ...truth], width = (right - left) / Math.max(count(), 1);
  const low = values.length ? Math.min(...values) : 0, high = values.length ? Math.max(...values) : 0;
  const room = (high - low) * 0.06 || 1;
  const down = (value) => bottom - (bottom - top) * (value - low + room) / (high - low + 2 * room);
  // Wider by a hair than their place, so that no paper shines through between them.
  (example.weights[row] ?? []).forEach((weight, place) => {
    if (!weight) return;
    const x = left + place * width, part = Math.min(weight / example.top, 1).toFixed(3);
    draw("rect", "wash", { x, y: top, width: width + 0.3, height: bottom - top }).style.setProperty("--w", part);
  });
  draw("rect", "frame", { x: left, y: top, width: right - left, height: bottom - top });
  const now = left + example.length * width;
  draw("line", "now", { x1: now, x2: now, y1: top, y2: bottom });
  for (const value of new Set([low, (low + high) / 2, high])) {
    draw("text", "", { x: left - 8, y: down(value) + 4, "text-anchor": "end" }, Number(value.toPrecision(3)));
  }
  drawTimes();
  drawLine("past", past.map((value, place) => [across(place), down(value)]));
  // Both begin where the past ends, so that the eye can follow.
  const start = past.length ? [[across(past.length - 1), down(past.at(-1))]] : [];
  const later = (parts) => parts.map((value, place) => [across(example.length + place), down(value)]);
  if (truth.length) drawLine("truth", [...start, ...later(truth)]);
  if (predicted.length) drawLine("forecast", [...start, ...later(predicted)]);
  if (predicted.length === 1) {
    for (const [x, y] of later(truth)) draw("circle", "dot", { cx: x, cy: y, r: 3.5 });
    for (const [x, y] of later(predicted)) draw("circle", "dot forecast", { cx: x, cy: y, r: 3.5 });
  }
  draw("line", "cursor", { x1: 0, x2: 0, y1: top, y2: bottom, visibility: "hidden" }).id = "cursor";
  const holds = `${name}: ${past.length} values of the past, ${predicted.length} of the forecast`;
  find("plot").setAttribute("aria-label", holds);
  showTime();
}

function drawLine(className, points) {
  draw("polyline", className, { points: points.map(([x, y]) => x.toFixed(1) + "," + y.toFixed(1)).join(" ") });
}

function drawTimes() {
  const last = (current().times.length || count()) - 1;
  if (last < 0) return;
  for (const place of new Set([0, Math.round(last / 2), last])) {
    const anchor = place === 0 ? "start" : place === last ? "end" : "middle";
    draw("text", "", { x: across(place), y: BOX.bottom + 20, "text-anchor": anchor }, timeOf(place));
  }
}

const timeOf = (place) => current().times[place] ?? String(place);

function showTime() {
  const { past, predicted, truth, row } = panel(), { length, weights } = current();
  const place = time.hovered ?? time.place, readout = find("readout"), line = find("cursor");
  line.setAttribute("visibility", place === null ? "hidden" : "visible");
  if (place === null) {
    const values = weights[row] ?? [], places = mostOf(values, 1);
    readout.replaceChildren(places.length ? "Looked at most: " : "Looked at nothing of it.");
    places.forEach((at, index) => {
      readout.append(index ? ", " : "", make("b", "", timeOf(at)), " ", make("i", "", exact(values[at])));
    });
    return;
  }
  line.setAttribute("x1", across(place));
  line.setAttribute("x2", across(place));
  const told = place < length
    ? [["value", past[place]], ["weight", weights[row] && exact(weights[row][place])]]
    : [["forecast", predicted[place - length]], ["truth", truth[place - length]]];
  const said = told.filter(([, value]) => value !== undefined).map(([what, value]) => `${what} ${value}`);
  readout.replaceChildren(make("b", "", timeOf(place)), " ", make("i", "", said.join(", ")));
}

// Over many times weights are small: three digits of each.
const exact = (weight) => String(Number((weight / data.scale).toPrecision(3)));

function hoverTime(event) {
  const box = find("plot").getBoundingClientRect(), x = (event.clientX - box.left) * 900 / (box.width || 1);
  const place = Math.floor((x - BOX.left) / (BOX.right - BOX.left) * count());
  time.hovered = place >= 0 && place < count() ? place : null;
  showTime();
}

find("variable").addEventListener("change", drawPlot);
find("plot").addEventListener("pointermove", hoverTime);
find("plot").addEventListener("pointerleave", () => { time.hovered = null; showTime(); });
