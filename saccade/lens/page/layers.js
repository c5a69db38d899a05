// A whole model: which heads are looked at, what is shown of their weights, and what is told of it.
const TABLED = 50;  // rows of the table
const FEW = 200, LONG = 2000;  // columns that are shown, of more than so many
const looking = { example: null, site: null, chosen: [], most: false, row: null, column: null, hovered: null, view: null };

views.layers = {
  asked: (example) => example.text || example.sites[0].name,
  draw(example) {
    Object.assign(looking, { example, hovered: null, row: null, column: null });
    Object.assign(grid, { at: [example.sites.length - 1, 0] });
    Object.assign(overlay, { axis: null, bitmap: null });
    find("asked-text").textContent = [example.text, example.answer].filter(Boolean).join(" → ");
    fillChoices("layer", example.sites.map((site) => site.name), alike() ? [["all", "mean of all layers"]] : []);
    fillChoices("figure", example.figures.map((figure) => figure.name));
    find("words").parentNode.hidden = !example.axes.some((axis) => axis.names);
    find("special").parentNode.hidden = !example.axes.some((axis) => axis.special.length);
    const longest = example.axes.reduce((most, axis) => Math.max(most, axis.labels.length), 0);
    find("columns").parentNode.hidden = longest <= FEW;
    find("columns").value = longest > LONG ? "most" : "all";
    find("grid-details").hidden = example.sites.length === 1 && example.sites[0].heads.length < 2;
    drawGrid();
    drawCurves();
    find("layer").value = example.sites.length - 1;
    chooseSite();
  },
  leftward: () => getComputedStyle(find("lookers")).direction === "rtl",
  step(steps) {
    const count = looking.view.matrix.rows;
    if (count) pin(Math.max(0, Math.min((looking.row ?? -1) + steps, count - 1)), null);
  },
};

const alike = () => looking.example.sites.length > 1 && looking.example.sites.every((site) =>
  site.source === looking.example.sites[0].source && site.target === looking.example.sites[0].target);

function fillChoices(id, names, before = []) {
  find(id).replaceChildren(...[...before, ...names.map((name, at) => [at, name])].map(([value, name]) => {
    const option = make("option", "", name);
    option.value = value;
    return option;
  }));
}

const sitesNow = () => find("layer").value === "all"
  ? looking.example.sites : [looking.example.sites[Number(find("layer").value)]];

// A layer was chosen: all of its heads, until one is.
function chooseSite() {
  const fewest = sitesNow().reduce((least, site) => Math.min(least, site.heads.length), Infinity);
  const names = fewest ? sitesNow()[0].heads.slice(0, fewest) : [];
  fillChoices("head", names, [["mean", "mean"], ["max", "largest"]]);
  if (names.length === 1) find("head").value = 0;
  chooseFromLists();
}

function chooseFromLists() {
  const head = find("head").value, all = looking.example.sites;
  looking.most = head === "max";
  looking.chosen = sitesNow().flatMap((site) => {
    const heads = head === "mean" || head === "max" ? site.heads.map((_, at) => at) : [Number(head)];
    return heads.map((at) => [all.indexOf(site), at]);
  });
  if (looking.chosen.length) [grid.at] = looking.chosen;
  relook(true);
}

// Heads were chosen in the grid: the lists follow where they can say so.
function chooseHeads(chosen) {
  looking.chosen = chosen;
  looking.most = false;
  find("layer").value = chosen[0][0];
  const names = looking.example.sites[chosen[0][0]].heads;
  fillChoices("head", names, [["mean", "mean"], ["max", "largest"]]);
  if (chosen.length === 1) {
    find("head").value = chosen[0][1];
  } else {
    const option = make("option", "", `mean of ${chosen.length}`);
    option.value = "several";
    find("head").append(option);
    find("head").value = "several";
  }
  relook(true);
}

function chosenName() {
  const { example, chosen, most } = looking, name = ([site, head]) =>
    `${example.sites[site].name}, head ${example.sites[site].heads[head]}`;
  if (chosen.length === 1) return name(chosen[0]);
  const sites = [...new Set(chosen.map(([site]) => example.sites[site].name))];
  const over = most ? "largest of" : "mean of";
  if (sites.length === 1) return `${sites[0]}, ${over} ${chosen.length} heads`;
  return `${over} ${chosen.length} heads of ${sites.length} layers`;
}

// What is shown changes: another head, words or pieces, special tokens, the least weight.
function relook(otherHead = false) {
  const { example, chosen } = looking, site = example.sites[chosen[0]?.[0] ?? (Number(find("layer").value) || 0)];
  const axes = { source: example.axes[site.source], target: example.axes[site.target] };
  const words = find("words").checked && !find("words").parentNode.hidden, special = find("special").value;
  const [rows, columns] = sizeOf(example, site), none = { rows, columns, rest: new Float32Array(rows) };
  let whole = chosen.length
    ? combined(chosen.map(([at, head]) => matrixOf(example, example.sites[at], head)), looking.most)
    : { ...none, starts: new Uint32Array(rows + 1), keys: new Uint32Array(0), values: new Float32Array(0) };
  if (words) whole = inWords(whole, axes.source, axes.target);
  const shown = { source: axisView(axes.source, words, special), target: axisView(axes.target, words, special) };
  const { places: down } = shown.target, { places: across } = shown.source, least = Number(find("least").value) ** 2;
  let matrix = cut(whole, down, across, least, special === "renormalised");
  const fewer = find("columns").value === "most" && matrix.columns > FEW;
  if (fewer) {
    const [most, kept] = mostOfMatrix(matrix, FEW);
    matrix = most;
    shown.source = someOf(shown.source, kept);
  }
  setTimeout(() => turnedOf(matrix), 100);  // before somebody asks, who would wait for it
  looking.view = { ...shown, matrix, top: scaleEnd(largest(matrix.values)) };
  find("least-said").textContent = least ? shortly(least) : "0";
  find("chosen-name").textContent = chosenName();
  find("top").textContent = looking.view.top;
  find("left-out").textContent = leftOut(site, whole, special, fewer ? matrix : null);
  if (looking.site && (looking.site.source !== site.source || looking.site.target !== site.target)) {
    Object.assign(looking, { row: null, column: null });
  }
  looking.site = site;
  const clamp = (place, count) => place === null || place < count ? place : null;
  looking.row = clamp(looking.row, matrix.rows);
  looking.column = clamp(looking.column, matrix.columns);
  looking.hovered = null;
  if (looking.row === null && looking.column === null && matrix.rows) looking.row = 0;
  for (const side of ["target", "source"]) drawStrip(side);
  layImage();
  layPlane();
  if (otherHead) markHeads();
  showLook();
  tabulate();
}

// An axis as it is shown: its labels, which of its tokens or words they are, and where each token of an image stands.
function axisView(axis, words, special) {
  const grouped = words && axis.names, labels = grouped ? axis.names : axis.labels;
  const marked = new Set(axis.special);
  let odd = marked;
  if (grouped) {
    const plain = new Set(axis.words.filter((_, place) => !marked.has(place)));
    odd = new Set([...labels.keys()].filter((word) => !plain.has(word)));
  }
  const places = [...labels.keys()].filter((place) => special === "shown" || !odd.has(place));
  const now = new Map(places.map((place, at) => [place, at])), wordOf = (token) => grouped ? axis.words[token] : token;
  return { labels: places.map((place) => labels[place]), places, image: axis.image,
    special: new Set(places.map((place, at) => odd.has(place) ? at : -1)),
    at: axis.image && new Map(axis.image.places.map((token) => [token, now.get(wordOf(token))])) };
}

function someOf(axis, kept) {
  const now = new Map(kept.map((at, place) => [at, place]));
  return { ...axis, labels: kept.map((at) => axis.labels[at]), places: kept.map((at) => axis.places[at]),
    special: new Set(kept.filter((at) => axis.special.has(at)).map((at) => now.get(at))),
    at: axis.at && new Map([...axis.at].map(([token, at]) => [token, now.get(at)])) };
}

function leftOut(site, whole, special, fewer) {
  const said = [], share = meanOf([...whole.rest]), of = (part) => `${shortly(Math.min(part, 1) * 100)}% on average`;
  const count = looking.example.axes[site.source].labels.length;
  if (site.k !== null && site.k < count) {
    const part = share >= 0.001 ? of(share) : "less than 0.1%";
    said.push(`Top ${site.k} of ${count.toLocaleString("en")} per row and head; the rest, ${part}, is left out.`);
  }
  if (fewer) {
    const all = count.toLocaleString("en"), held = of(meanOf([...fewer.rest]));
    said.push(`Shown are the ${fewer.columns} columns of ${all} looked at most; rows leave out ${held}.`);
  }
  if (special === "hidden") said.push("Special tokens are hidden; the other weights are as they were.");
  if (special === "renormalised") said.push("Special tokens are hidden; each row is divided by what it still holds.");
  return said.join(" ");
}

function pointedAt() {
  return looking.hovered ?? { row: looking.row, column: looking.column };
}

function hoverLook(place) {
  const before = looking.hovered;
  if (before === place || (before && place && before.row === place.row && before.column === place.column)) return;
  looking.hovered = place;
  showLook();
}

// A click holds a row, or a column for who looked at it; once more lets it go.
function pin(row, column) {
  const again = column !== null && column === looking.column;
  Object.assign(looking, { row: again ? 0 : row, column: again ? null : column, hovered: null });
  const { matrix } = looking.view;
  if (row !== null) {
    turnStrip("target", row);
    const [best] = rowOfMatrix(matrix, row);
    if (best) turnStrip("source", best[0]);
  }
  if (column !== null) turnStrip("source", column);
  showCell(looking.row, looking.column);
  showLook();
  tabulate();
}

function showLook() {
  const { source, target, matrix } = looking.view, { row, column } = pointedAt();
  const backward = row === null && column !== null;
  const pairs = backward ? columnOfMatrix(matrix, column) : row === null ? [] : rowOfMatrix(matrix, row);
  shadeStrip("source", backward ? [] : pairs);
  shadeStrip("target", backward ? pairs : []);
  markStrip("target", row);
  markStrip("source", column);
  placeBands();
  if (overlay.side) {
    const onImage = backward ? target.image : source.image, place = backward ? column : row;
    drawImage(onImage ? pairs : [], (backward ? source.image : target.image) ? place : null);
  }
  if (!matrix.rows || !matrix.columns) find("readout").textContent = "There are no tokens to look at.";
  else if (backward) tellLook(source.labels[column], " was looked at by ", target.labels, pairs, null);
  else if (row !== null && column !== null) {
    const [, value] = pairs.find(([key]) => key === column) ?? [];
    tellLook(target.labels[row], " looked at ", source.labels, [[column, value ?? 0]], null);
  } else if (row !== null) tellLook(target.labels[row], " looked at ", source.labels, pairs, matrix.rest[row]);
}

function tellLook(who, did, labels, pairs, rest) {
  const least = Math.min(0.01, pairs[0]?.[1] ?? 0), told = pairs.filter(([, value]) => value >= least).slice(0, 3);
  const readout = find("readout");
  readout.replaceChildren(make("b", "", who), did, ...(told.length ? [] : ["nothing"]));
  told.forEach(([place, value], index) => {
    readout.append(index ? ", " : "", make("b", "", labels[place]), " ", make("i", "", value.toFixed(2)));
  });
  if (rest >= 0.005) readout.append("; ", make("i", "", `left out ${rest.toFixed(2)}`));
}

function tabulate() {
  const { source, target, matrix } = looking.view, { row, column } = looking, backward = row === null;
  if (row === null && column === null) return fillTable("row-table", ["token", "weight"], []);
  const pairs = backward ? columnOfMatrix(matrix, column) : rowOfMatrix(matrix, row);
  const [own, others] = backward ? [source.labels[column], target.labels] : [target.labels[row], source.labels];
  const some = pairs.length > TABLED ? `, the ${TABLED} largest weights of ${pairs.length}` : "";
  find("row-summary").textContent =
    (backward ? `Who looked at ${own}, as a table` : `What ${own} looked at, as a table`) + some;
  return fillTable("row-table", ["token", "place", "weight"],
    pairs.slice(0, TABLED).map(([place, value]) => [others[place], place + 1, value.toFixed(4)]));
}

find("layer").addEventListener("change", chooseSite);
find("head").addEventListener("change", () => { if (find("head").value !== "several") chooseFromLists(); });
for (const id of ["words", "special", "columns", "least"]) {
  find(id).addEventListener("input", () => {
    if (id !== "least") Object.assign(looking, { row: null, column: null });
    relook();
  });
}
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && current().kind === "layers") pin(looking.row ?? 0, null);
});
addEventListener("resize", () => { if (current().kind === "layers") layPlane(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  if (current().kind !== "layers") return;
  layPlane();
  showLook();
  for (const line of find("heads").children) grid.watch.observe(line);
});
