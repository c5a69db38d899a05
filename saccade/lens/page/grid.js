// All heads of all layers, small: one that is clicked is shown large, more with Shift or Control as their mean.
const THUMB = 56;  // pixels at most
const grid = { at: [0, 0], items: [], watch: null };

function drawGrid() {
  const { example } = looking;
  grid.watch?.disconnect();
  grid.watch = new IntersectionObserver((seen) => {
    for (const { isIntersecting, target } of seen) {
      if (!isIntersecting) continue;
      grid.watch.unobserve(target);
      drawThumbs(Number(target.dataset.site));
    }
  }, { rootMargin: "200px" });
  grid.most = example.sites.reduce((most, site) => Math.max(most, largest(site.units)), 0) || 1;
  grid.items = example.sites.map((site, place) => site.heads.map((name, head) => headItem(site, place, name, head)));
  find("heads").style.setProperty("--longest", example.sites.reduce((most, site) => Math.max(most, site.short.length), 0));
  find("heads").replaceChildren(...example.sites.map((site, place) => {
    const line = make("div", "line"), label = make("div", "site", site.short);
    label.title = site.name;
    line.setAttribute("role", "group");
    line.setAttribute("aria-label", site.name);
    line.dataset.site = place;
    line.append(label, ...grid.items[place]);
    grid.watch.observe(line);
    return line;
  }));
  tellFigures();
}

function headItem(site, place, name, head) {
  const item = make("div", "head"), canvas = make("canvas");
  const [rows, columns] = sizeOf(looking.example, site);
  canvas.width = Math.max(Math.min(columns, THUMB), 1);
  canvas.height = Math.max(Math.min(rows, THUMB), 1);
  item.id = `head-${place}-${head}`;
  item.dataset.site = place;
  item.dataset.head = head;
  item.setAttribute("role", "option");
  item.setAttribute("aria-label", `${site.name}, head ${name}`);
  item.append(canvas, make("small", "", name));
  return item;
}

function drawThumbs(place) {
  const { example } = looking, site = example.sites[place], [rows, columns] = sizeOf(example, site);
  grid.items[place].forEach((item, head) => {
    const canvas = item.firstChild, { width, height } = canvas, most = new Float32Array(width * height);
    const matrix = matrixOf(example, site, head);
    for (let row = 0; row < rows; row++) {
      const line = Math.floor(row * height / rows) * width;
      eachOf(matrix, row, (key, value) => {
        const at = line + Math.floor(key * width / columns);
        if (value > most[at]) most[at] = value;
      });
    }
    const image = new ImageData(width, height), colours = coloursNow();
    // The root lifts the small weights of broad heads; one scale for all.
    most.forEach((value, at) => putPixel(image.data, at, colours[shadeOf(Math.sqrt(value / grid.most))]));
    canvas.getContext("2d").putImageData(image, 0, 0);
    item.classList.add("drawn");
  });
}

function tellFigures() {
  const { example } = looking, figure = example.figures[Number(find("figure").value) || 0];
  find("figures").hidden = !example.figures.length;
  find("figure-details").hidden = !example.figures.length;
  example.sites.forEach((site, place) => site.heads.forEach((name, head) => {
    const value = figure?.values[place][head] ?? null;
    grid.items[place][head].lastChild.textContent = value === null ? name : `${name}: ${shortly(value)}`;
  }));
  if (!figure) return;
  find("figure-summary").textContent = `${figure.name} of every head, as a table`;
  const names = example.sites.reduce((most, { heads }) => heads.length > most.length ? heads : most, []);
  fillTable("figure-table", ["layer", ...names.map((name) => `head ${name}`)],
    example.sites.map((site, place) => [site.name, ...figure.values[place].map((v) => v === null ? "–" : shortly(v))]));
}

const shortly = (value) => String(Number(value.toPrecision(3)));

function fillTable(id, columns, rows) {
  const head = make("thead"), body = make("tbody"), line = make("tr");
  const cell = (tag, scope, text) => {
    const element = make(tag, "", text);
    if (scope) element.scope = scope;
    return element;
  };
  line.append(...columns.map((name) => cell("th", "col", name)));
  head.append(line);
  body.append(...rows.map(([name, ...values]) => {
    const row = make("tr");
    row.append(cell("th", "row", name), ...values.map((value) => cell("td", "", value)));
    return row;
  }));
  find(id).replaceChildren(head, body);
}

function markHeads() {
  const chosen = new Set(looking.chosen.map(([site, head]) => `${site}-${head}`));
  grid.items.forEach((items, site) => items.forEach((item, head) => {
    item.setAttribute("aria-selected", chosen.has(`${site}-${head}`));
  }));
  const item = grid.items[grid.at[0]]?.[grid.at[1]], list = find("heads");
  list.setAttribute("aria-activedescendant", item?.id ?? "");
  if (!item) return;
  const line = item.parentNode, above = line.offsetTop - list.scrollTop;
  if (above < 0 || above + line.offsetHeight > list.clientHeight) list.scrollTop = line.offsetTop;
}

function toggleHead(site, head) {
  const first = looking.example.sites[looking.chosen[0][0]], next = looking.example.sites[site];
  if (first.source !== next.source || first.target !== next.target) return chooseHeads([[site, head]]);
  const others = looking.chosen.filter(([a, b]) => a !== site || b !== head);
  if (others.length === looking.chosen.length) others.push([site, head]);
  return chooseHeads(others.length ? others : [[site, head]]);
}

find("heads").addEventListener("click", (event) => {
  const item = event.target.closest(".head");
  if (!item) return;
  grid.at = [Number(item.dataset.site), Number(item.dataset.head)];
  if (event.shiftKey || event.ctrlKey || event.metaKey) toggleHead(...grid.at);
  else chooseHeads([grid.at]);
});
find("heads").addEventListener("keydown", (event) => {
  const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (event.ctrlKey || event.metaKey || event.altKey || (!step && event.key !== " ")) return;
  event.preventDefault();
  event.stopPropagation();
  if (!step) {
    toggleHead(...grid.at);
    return;
  }
  const site = Math.max(0, Math.min(grid.at[0] + step[0], grid.items.length - 1));
  grid.at = [site, Math.max(0, Math.min(grid.at[1] + step[1], grid.items[site].length - 1))];
  if (event.shiftKey) markHeads();
  else chooseHeads([grid.at]);
});
find("figure").addEventListener("change", tellFigures);
