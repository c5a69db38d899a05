// The tokens that looked, and those that were looked at: a token tells its row, or who looked at it.
const MANY = 1000;  // tokens of a strip at a time
const FAINTEST = 0.01;  // of the largest weight
const strips = {
  target: { list: "lookers", from: 0, shaded: [] },
  source: { list: "seen", from: 0, shaded: [] },
};

function drawStrip(side) {
  const strip = strips[side], { labels } = looking.view[side], list = find(strip.list);
  strip.from = Math.max(0, Math.min(strip.from, Math.floor(Math.max(labels.length - 1, 0) / MANY) * MANY));
  const to = Math.min(strip.from + MANY, labels.length);
  strip.shaded = [];
  strip.items = labels.slice(strip.from, to).map((label, at) => {
    const item = make("span", looking.view[side].special.has(strip.from + at) ? "special" : "", label);
    item.id = `${strip.list}-${strip.from + at}`;
    item.dataset.place = strip.from + at;
    item.setAttribute("role", "option");
    return item;
  });
  list.replaceChildren(...strip.items);
  const pages = find(`${strip.list}-pages`);
  pages.hidden = labels.length <= MANY;
  pages.querySelector("span").textContent =
    `${(strip.from + 1).toLocaleString("en")} to ${to.toLocaleString("en")} of ${labels.length.toLocaleString("en")}`;
  const [earlier, later] = pages.querySelectorAll("button");
  earlier.disabled = strip.from === 0;
  later.disabled = to === labels.length;
}

function turnStrip(side, place) {
  const strip = strips[side], from = Math.floor(place / MANY) * MANY;
  if (from === strip.from || place < 0 || place >= looking.view[side].labels.length) return;
  strip.from = from;
  drawStrip(side);
}

const itemOf = (side, place) => strips[side].items[place - strips[side].from];

// Only tokens that change are touched, and none for a shade that nobody sees.
function shadeStrip(side, pairs) {
  const strip = strips[side], most = pairs.length ? pairs[0][1] : 0, before = new Set(strip.shaded);
  strip.shaded = [];
  for (const [place, value] of pairs) {
    const item = itemOf(side, place);
    if (!item || value < most * FAINTEST) continue;
    paint(item, value / most);
    before.delete(item);
    strip.shaded.push(item);
  }
  for (const item of before) paint(item, 0);
}

// As `shade` does, but written out: many tokens change at once, and mixing colours is what takes the browser longest.
function paint(item, part) {
  if (!part) {
    item.style.cssText = "";
    return;
  }
  const colour = coloursNow()[shadeOf(part)], [red, green, blue] = colour.map((value) => (value / 255) ** 2.2);
  const ink = 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff";
  item.style.cssText = `--w: ${part.toFixed(3)}; background: rgb(${colour}); color: ${ink}`;
}

function markStrip(side, place) {
  const strip = strips[side], list = find(strip.list), item = place === null ? null : itemOf(side, place);
  strip.marked?.setAttribute("aria-selected", "false");
  strip.marked = item;
  list.setAttribute("aria-activedescendant", item ? item.id : "");
  if (!item) return;
  item.setAttribute("aria-selected", "true");
  if (looking.hovered) return;
  // Within its strip alone: the page stays where it is.
  const above = item.offsetTop - list.scrollTop, below = above + item.offsetHeight - list.clientHeight;
  if (above < 0) list.scrollTop += above;
  else if (below > 0) list.scrollTop += below;
}

for (const side of ["target", "source"]) {
  const list = find(strips[side].list), placeOn = (event) => event.target.dataset.place;
  const told = (place) => side === "target" ? { row: place, column: null } : { row: null, column: place };
  list.addEventListener("pointerover", (event) => {
    hoverLook(placeOn(event) === undefined ? null : told(Number(placeOn(event))));
  });
  list.addEventListener("pointerleave", () => hoverLook(null));
  list.addEventListener("click", (event) => {
    if (placeOn(event) === undefined) return;
    const { row, column } = told(Number(placeOn(event)));
    pin(row, column);
  });
  list.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const count = looking.view[side].labels.length, at = side === "target" ? looking.row : looking.column ?? -1;
    if (!count) return;
    const leftward = event.key.startsWith("ArrowL") || event.key.startsWith("ArrowR")
      ? getComputedStyle(list).direction === "rtl" : false;
    const { row, column } = told(Math.max(0, Math.min((at ?? -1) + (leftward ? -1 : 1) * steps[event.key], count - 1)));
    pin(row, column);
  });
  find(`${strips[side].list}-pages`).addEventListener("click", (event) => {
    const by = Number(event.target.dataset.by);
    if (!by) return;
    strips[side].from += by * MANY;
    drawStrip(side);
    showLook();
  });
}
