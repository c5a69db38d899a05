// Attended images: the image, bright where the chosen word looked, and a small copy of it for each word.
const SMALL_COPY = 150, LEAST_SIDE = 480;  // pixels
const photo = { example: null, pixels: null, small: null, word: null, hovered: null, cell: null };
const ACROSS_WORDS = ["left", "", "right"], DOWN_WORDS = ["top", "", "bottom"];

views.image = {
  asked: (example) => example.text || example.words.join(" "),
  draw(example) {
    Object.assign(photo, { example, pixels: null, small: null, word: null, hovered: null, cell: null });
    find("described").textContent = [example.text, example.answer].filter(Boolean).join(" → ");
    const canvas = find("photo"), [rows, columns] = example.grid, larger = Math.max(example.width, example.height);
    const scaled = (side, share) => Math.max(Math.round(side * share), 1), share = Math.max(LEAST_SIDE / larger, 1);
    Object.assign(canvas, { width: scaled(example.width, share), height: scaled(example.height, share) });
    canvas.setAttribute("aria-label", `The image, under ${rows} by ${columns} cells`);
    find("cells").textContent = `${rows} by ${columns} cells`;
    find("spoken").replaceChildren(...example.words.map(tileOf));
    showWordOnPhoto();
    bitmapOf(example).then((bitmap) => {
      if (photo.example !== example) return;
      photo.pixels = pixelsOf(bitmap, canvas.width, canvas.height);
      const less = Math.min(SMALL_COPY / larger, 1);
      photo.small = pixelsOf(bitmap, scaled(example.width, less), scaled(example.height, less));
      drawCopies();
      drawPhoto();
    });
  },
  leftward: () => getComputedStyle(find("spoken")).direction === "rtl",
  step(steps) {
    const all = photo.example.words.length, from = photo.word ?? (steps > 0 ? -1 : all);
    if (all) chooseWord(Math.max(0, Math.min(from + steps, all - 1)));
  },
};

function tileOf(word, place) {
  const tile = make("span", "tile"), name = make("b", "", word);
  tile.append(make("canvas"), name, make("small", "", digits(current().units[place])));
  tile.id = "spoken-" + place;
  tile.dataset.place = place;
  tile.setAttribute("role", "option");
  return tile;
}

const strengthNow = () => Number(find("strength").value), smoothNow = () => find("smooth").checked;

function drawCopies() {
  if (!photo.small) return;
  [...find("spoken").children].forEach((tile, place) => {
    const canvas = tile.firstChild, { width, height } = photo.small;
    Object.assign(canvas, { width, height });
    const parts = partsOf(photo.example.weights[place]);
    canvas.getContext("2d").putImageData(lit(photo.small, parts, photo.example.grid, strengthNow(), smoothNow()), 0, 0);
  });
}

function drawPhoto() {
  if (!photo.pixels) return;
  const pen = find("photo").getContext("2d"), word = photo.hovered ?? photo.word, { grid, weights } = photo.example;
  const plain = word === null || photo.cell !== null, over = [grid, strengthNow(), smoothNow()];
  pen.putImageData(plain ? photo.pixels : lit(photo.pixels, partsOf(weights[word]), ...over), 0, 0);
  if (photo.cell !== null) {
    const [rows, columns] = grid, [wide, tall] = [pen.canvas.width / columns, pen.canvas.height / rows];
    pen.strokeStyle = "#ff9d5c";
    pen.lineWidth = 3;
    pen.strokeRect(photo.cell % columns * wide, Math.floor(photo.cell / columns) * tall, wide, tall);
  }
  root.dataset.picture = `${state.example} ${plain ? "plain" : word}`;
}

function showWordOnPhoto() {
  const { words, weights, units } = photo.example, word = photo.hovered ?? photo.word, readout = find("readout");
  const seen = photo.cell === null ? [] : weights.map((row, place) => row[photo.cell] / data.scale * units[place]);
  const most = largest(seen);
  for (const tile of find("spoken").children) shade(tile, most ? seen[tile.dataset.place] / most : 0);
  drawPhoto();
  if (photo.cell !== null) {
    readout.replaceChildren(make("b", "", placeOnPhoto(photo.cell)), " was looked at by ");
    return tellMost(seen, (place) => words[place]);
  }
  if (word === null) {
    return readout.replaceChildren(words.length ? "Choose a word to see where it looked." : "Nothing was said.");
  }
  readout.replaceChildren(make("b", "", words[word]), " looked at ");
  return tellMost(weights[word].map((whole) => whole / data.scale * units[word]), placeOnPhoto);
}

// In which ninth of the image, and row and column.
function placeOnPhoto(cell) {
  const [rows, columns] = photo.example.grid, row = Math.floor(cell / columns), column = cell % columns;
  const down = DOWN_WORDS[Math.floor((row + 0.5) / rows * 3)];
  const across = ACROSS_WORDS[Math.floor((column + 0.5) / columns * 3)];
  return `${[down, across].filter(Boolean).join(" ") || "centre"} (${row + 1}, ${column + 1})`;
}

function chooseWord(place) {
  Object.assign(photo, { word: place, hovered: null, cell: null });
  mark("spoken", place === null ? "" : "spoken-" + place);
  showWordOnPhoto();
}

function hoverOnPhoto(hovered, cell) {
  if (photo.hovered === hovered && photo.cell === cell) return;
  Object.assign(photo, { hovered, cell });
  showWordOnPhoto();
}

const tileAt = (event) => event.target.closest(".tile")?.dataset.place;
find("spoken").addEventListener("pointerover", (event) => {
  hoverOnPhoto(tileAt(event) === undefined ? null : Number(tileAt(event)), null);
});
find("spoken").addEventListener("pointerleave", () => hoverOnPhoto(null, null));
find("spoken").addEventListener("click", (event) => {
  if (tileAt(event) !== undefined) chooseWord(Number(tileAt(event)));
});
find("spoken").addEventListener("focus", () => { if (photo.word === null) views.image.step(1); });
find("photo").addEventListener("pointermove", (event) => {
  const edge = find("photo").getBoundingClientRect(), [rows, columns] = photo.example.grid;
  const column = Math.floor((event.clientX - edge.left) / edge.width * columns);
  const row = Math.floor((event.clientY - edge.top) / edge.height * rows);
  hoverOnPhoto(null, column >= 0 && column < columns && row >= 0 && row < rows ? row * columns + column : null);
});
find("photo").addEventListener("pointerleave", () => hoverOnPhoto(null, null));
for (const id of ["strength", "smooth"]) {
  find(id).addEventListener("input", () => {
    drawCopies();
    drawPhoto();
  });
}
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && current().kind === "image") chooseWord(null);
});
