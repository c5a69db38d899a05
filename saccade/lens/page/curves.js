// How well an order of tokens explains: what an output does as they are taken away, beside other orders.
const CHART = { width: 420, height: 220, left: 48, right: 300, top: 14, bottom: 184 };
const DASHES = ["", "7 4", "2 4", "10 3 2 3"];

function vector(parent, tag, attributes, text) {
  const element = document.createElementNS(find("plot").namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function drawCurves() {
  const { curves } = looking.example, measures = [...new Set(curves.map((curve) => curve.measure))];
  find("curves").hidden = !curves.length;
  find("charts").replaceChildren(...measures.map((measure) => {
    const figure = make("figure"), of = curves.filter((curve) => curve.measure === measure);
    figure.append(make("figcaption", "", measure));
    drawChart(figure, of);
    return figure;
  }));
  fillTable("curve-table", ["curve", "fraction: score"], curves.map(({ measure, name, fractions, scores }) =>
    [`${measure}, ${name}`, fractions.map((part, at) => `${shortly(part)}: ${shortly(scores[at])}`).join(", ")]));
}

function drawChart(figure, curves) {
  const { width, height, left, right, top, bottom } = CHART;
  const chart = vector(figure, "svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img" });
  chart.setAttribute("aria-label", `${curves[0].measure}: ${curves.map((curve) => curve.name).join(", ")}`);
  const scores = curves.flatMap((curve) => curve.scores), low = Math.min(0, ...scores), high = Math.max(...scores, low);
  const across = (part) => left + (right - left) * part;
  const down = (score) => bottom - (bottom - top) * (score - low) / (high - low || 1);
  vector(chart, "rect", { x: left, y: top, width: right - left, height: bottom - top, class: "frame" });
  for (const score of new Set([low, (low + high) / 2, high])) {
    vector(chart, "text", { x: left - 6, y: down(score) + 4, "text-anchor": "end" }, shortly(score));
  }
  for (const [part, anchor] of [[0, "start"], [0.5, "middle"], [1, "end"]]) {
    vector(chart, "text", { x: across(part), y: bottom + 16, "text-anchor": anchor }, `${part * 100}%`);
  }
  vector(chart, "text", { x: across(0.5), y: bottom + 32, "text-anchor": "middle" }, "share of the tokens");
  // Names stand where the lines end, moved apart where they would touch.
  const ends = curves.map((curve, at) => ({ at, y: down(curve.scores.at(-1)) })).sort((a, b) => a.y - b.y);
  ends.forEach((end, at) => { if (at) end.y = Math.max(end.y, ends[at - 1].y + 14); });
  const over = Math.max(0, (ends.at(-1)?.y ?? 0) - bottom);
  for (const { at, y } of ends) {
    const { name, fractions, scores: up } = curves[at], line = at ? "other" : "own";
    const points = fractions.map((part, step) => `${across(part).toFixed(1)},${down(up[step]).toFixed(1)}`).join(" ");
    vector(chart, "polyline", { points, class: line, "stroke-dasharray": DASHES[at % DASHES.length] });
    const key = { x1: right + 6, x2: right + 26, y1: y - over, y2: y - over };
    vector(chart, "line", { ...key, class: line, "stroke-dasharray": DASHES[at % DASHES.length] });
    vector(chart, "text", { x: right + 31, y: y - over + 4 }, name.length > 14 ? name.slice(0, 13) + "…" : name);
  }
}
