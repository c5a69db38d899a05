// Aligned strips: what was read from left to right, and below it, on the same axis, where each token looked.
const aligned = { example: null, pixels: null, row: null, hovered: null, slot: null };

views.strip = {
  asked: (example) => example.text || example.tokens.join(" "),
  draw(example) {
    Object.assign(aligned, { example, pixels: null, row: null, hovered: null, slot: null });
    find("heard").textContent = [example.text, example.answer].filter(Boolean).join(" → ");
    find("top").textContent = digits(example.top);
    const end = example.extent ? `${digits(example.extent, 3)} ${example.unit}`.trim() : `${example.slots} slots`;
    find("strip-end").textContent = end;
    find("strip-tokens").replaceChildren(...example.tokens.map((token, row) => {
      const option = make("span", "", token);
      option.id = "strip-token-" + row;
      option.title = token;
      option.dataset.row = row;
      option.setAttribute("role", "option");
      return option;
    }));
    const canvas = find("strip-picture");
    Object.assign(canvas, { width: example.width, height: example.height });
    canvas.setAttribute("aria-label", `What was read, ${end} from left to right`);
    drawAlignment();
    showAligned();
    bitmapOf(example).then((bitmap) => {
      if (aligned.example !== example) return;
      aligned.pixels = pixelsOf(bitmap, canvas.width, canvas.height);
      drawPicture();
    });
  },
  step(steps) {
    const all = aligned.example.tokens.length, from = aligned.row ?? (steps > 0 ? -1 : all);
    if (all) chooseToken(Math.max(0, Math.min(from + steps, all - 1)));
  },
};

// A pixel for each weight: the style sheet makes them as large as their places.
function drawAlignment() {
  const { weights, units, slots, top, tokens } = aligned.example, canvas = find("strip-map"), colours = coloursNow();
  Object.assign(canvas, { width: Math.max(slots, 1), height: Math.max(tokens.length, 1) });
  canvas.setAttribute("aria-label", `Heat map: ${tokens.length} tokens written by ${slots} slots of what was read`);
  find("strip-plane").style.setProperty("--rows", Math.max(tokens.length, 1));
  if (!slots || !tokens.length) return;
  const image = new ImageData(slots, tokens.length);
  weights.forEach((line, row) => line.forEach((whole, slot) => {
    putPixel(image.data, row * slots + slot, colours[shadeOf(whole / data.scale * units[row] / top)]);
  }));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function drawPicture() {
  if (!aligned.pixels) return;
  const { weights, slots } = aligned.example, row = rowNow();
  const plain = row === null || !slots;
  const picture = plain ? aligned.pixels : lit(aligned.pixels, partsOf(weights[row]), [1, slots], 1, false);
  find("strip-picture").getContext("2d").putImageData(picture, 0, 0);
  root.dataset.picture = `${state.example} ${row ?? "plain"}`;
}

const rowNow = () => aligned.hovered ?? aligned.row;

function showAligned() {
  const { tokens, weights, units, slots } = aligned.example, row = rowNow(), { slot } = aligned;
  const readout = find("readout");
  drawPicture();
  const seen = slot === null ? [] : weights.map((line, at) => line[slot] / data.scale * units[at]);
  const most = largest(seen);
  for (const option of find("strip-tokens").children) shade(option, most ? seen[option.dataset.row] / most : 0);
  const wide = 100 / Math.max(slots, 1), tall = 100 / Math.max(tokens.length, 1);
  band("strip-row", row !== null, { top: `${row * tall}%`, height: `${tall}%` });
  for (const id of ["strip-column", "strip-slot"]) {
    band(id, slot !== null, { left: `${slot * wide}%`, width: `${wide}%` });
  }
  if (row !== null && slot !== null) {
    readout.replaceChildren(make("b", "", tokens[row]), " looked at ", make("b", "", slotOf(slot)), " ");
    return readout.append(make("i", "", digits(seen[row])));
  }
  if (slot !== null) {
    readout.replaceChildren(make("b", "", slotOf(slot)), " was looked at by ");
    return tellMost(seen, (at) => tokens[at]);
  }
  if (row === null) {
    return readout.replaceChildren(tokens.length ? "Choose a token to see where it looked." : "Nothing was written.");
  }
  readout.replaceChildren(make("b", "", tokens[row]), " looked at ");
  return tellMost(weights[row].map((whole) => whole / data.scale * units[row]), slotOf);
}

function band(id, shown, places) {
  find(id).hidden = !shown;
  Object.assign(find(id).style, places);
}

function slotOf(slot) {
  const { extent, unit, slots } = aligned.example;
  return extent ? `${digits(extent * (slot + 0.5) / slots, 3)} ${unit}`.trim() : `slot ${slot + 1}`;
}

function chooseToken(row) {
  Object.assign(aligned, { row, hovered: null, slot: null });
  mark("strip-tokens", row === null ? "" : "strip-token-" + row);
  showAligned();
}

function hoverAligned(hovered, slot) {
  if (aligned.hovered === hovered && aligned.slot === slot) return;
  Object.assign(aligned, { hovered, slot });
  showAligned();
}

// Which of `count` equal parts of an element the pointer is over, from the left or from the top.
function partAt(event, id, count, side) {
  const edge = find(id).getBoundingClientRect();
  const share = side === "left" ? (event.clientX - edge.left) / edge.width : (event.clientY - edge.top) / edge.height;
  return count && share >= 0 && share < 1 ? Math.floor(share * count) : null;
}

find("strip-map").addEventListener("pointermove", (event) => {
  const { tokens, slots } = aligned.example;
  hoverAligned(partAt(event, "strip-map", tokens.length, "top"), partAt(event, "strip-map", slots, "left"));
});
find("strip-map").addEventListener("click", (event) => {
  chooseToken(partAt(event, "strip-map", aligned.example.tokens.length, "top"));
});
find("strip-picture").addEventListener("pointermove", (event) => {
  hoverAligned(null, partAt(event, "strip-picture", aligned.example.slots, "left"));
});
find("strip-tokens").addEventListener("pointerover", (event) => {
  if (event.target.dataset.row) hoverAligned(Number(event.target.dataset.row), null);
});
find("strip-tokens").addEventListener("click", (event) => {
  if (event.target.dataset.row) chooseToken(Number(event.target.dataset.row));
});
find("strip-tokens").addEventListener("focus", () => { if (aligned.row === null) views.strip.step(1); });
find("strip-tokens").addEventListener("keydown", (event) => {
  const steps = { ArrowDown: 1, ArrowUp: -1 };
  if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  views.strip.step(steps[event.key]);
});
for (const id of ["strip-map", "strip-picture", "strip-tokens"]) {
  find(id).addEventListener("pointerleave", () => hoverAligned(null, null));
}
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && current().kind === "strip") chooseToken(null);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  if (current().kind === "strip") drawAlignment();
});
