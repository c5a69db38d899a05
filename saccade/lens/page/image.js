// An image whose patches are tokens: bright where it was looked at.
const VEIL = 0.78;  // over what was not looked at
const overlay = { axis: null, bitmap: null, side: null };

function layImage() {
  const { source, target } = looking.view, side = source.image ? "source" : target.image ? "target" : null;
  const image = side && looking.view[side].image;
  find("picture").hidden = !image;
  overlay.side = side;
  if (!image || overlay.axis === image) return;
  Object.assign(overlay, { axis: image, bitmap: null });
  const canvas = find("image");
  Object.assign(canvas, { width: Math.max(image.width, 320), height: Math.max(image.width, 320) / image.width * image.height });
  canvas.setAttribute("aria-label", `The image, ${image.grid[0]} by ${image.grid[1]} patches`);
  bitmapOf(image).then((bitmap) => {
    if (overlay.axis !== image) return;
    overlay.bitmap = bitmap;
    showLook();
    root.dataset.image = "yes";
  });
}

function patchBox(patch) {
  const { grid: [rows, columns] } = overlay.axis, { width, height } = find("image");
  const row = Math.floor(patch / columns), column = patch % columns;
  return [column * width / columns, row * height / rows, width / columns, height / rows];
}

// `pairs` are tokens of the image's axis and their weights, the largest first.
function drawImage(pairs, marked) {
  const canvas = find("image"), pen = canvas.getContext("2d");
  if (!overlay.side || !overlay.bitmap) return;
  const { at } = looking.view[overlay.side], weights = new Map(pairs);
  const parts = overlay.axis.places.map((place) => weights.get(at.get(place)) ?? 0), most = largest(parts);
  pen.drawImage(overlay.bitmap, 0, 0, canvas.width, canvas.height);
  overlay.axis.places.forEach((place, patch) => {
    const box = patchBox(patch), part = most ? parts[patch] / most : 0;
    if (pairs.length) {
      pen.fillStyle = `rgba(8, 12, 20, ${(VEIL * (1 - part)).toFixed(3)})`;
      pen.fillRect(...box);
    }
    if (marked === null || at.get(place) !== marked) return;
    pen.strokeStyle = "#ff9d5c";
    pen.lineWidth = 3;
    pen.strokeRect(box[0] + 1.5, box[1] + 1.5, box[2] - 3, box[3] - 3);
  });
}

function patchAt(event) {
  const edge = find("image").getBoundingClientRect(), { grid: [rows, columns], places } = overlay.axis;
  const column = Math.floor((event.clientX - edge.left) / edge.width * columns);
  const row = Math.floor((event.clientY - edge.top) / edge.height * rows);
  if (column < 0 || column >= columns || row < 0 || row >= rows) return null;
  return looking.view[overlay.side].at.get(places[row * columns + column]) ?? null;
}

// A patch that also looks tells its row; one that is only looked at, who looked.
const patchAsked = (place) => looking.view.target.image === overlay.axis
  ? { row: place, column: null } : { row: null, column: place };

find("image").addEventListener("pointermove", (event) => {
  const place = patchAt(event);
  hoverLook(place === null ? null : patchAsked(place));
});
find("image").addEventListener("pointerleave", () => hoverLook(null));
find("image").addEventListener("click", (event) => {
  const place = patchAt(event);
  if (place !== null) pin(patchAsked(place).row, patchAsked(place).column);
});
