// The map of a chosen head: only what is in sight is drawn, so that it may be of any size.
const plane = { cell: 16, left: 0, top: 0 };
const UPRIGHT = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Hangul}]/u;
const SMALLEST_LABEL = 10, LONGEST_LABEL = 150;  // pixels

function layPlane() {
  const { source, target, matrix } = looking.view, box = find("plane"), pen = find("plane-canvas").getContext("2d");
  const wide = (labels) => labels.reduce((most, label) => Math.max(most, pen.measureText(label.slice(0, 40)).width), 0);
  const room = box.clientWidth, zoom = Number(find("zoom").value);
  pen.font = fontOf(13);
  plane.left = Math.min(wide(target.labels) + 14, LONGEST_LABEL, room / 3);
  const fit = (room - plane.left) / Math.max(matrix.columns, 1);
  plane.cell = zoom || Math.max(2, Math.min(26, Math.floor(fit)));
  const labelled = plane.cell >= SMALLEST_LABEL;
  if (!labelled) plane.left = 12;
  const size = Math.min(plane.cell * 0.85, 13);
  plane.flat = labelled && wide(source.labels) * size / 13 < plane.cell * 0.8;
  plane.top = !labelled ? 12 : plane.flat ? size + 8 : Math.min(wide(source.labels) * size / 13 + 12, LONGEST_LABEL);
  const width = plane.left + matrix.columns * plane.cell, height = plane.top + matrix.rows * plane.cell;
  find("plane-size").style.width = `${width}px`;
  find("plane-size").style.height = `${height}px`;
  box.style.height = `${Math.min(height + 2 + (width > room ? 16 : 0), Math.max(innerHeight * 0.75, 240))}px`;
  drawPlane();
}

const fontOf = (size) => `${size}px ${getComputedStyle(document.body).fontFamily}`;

// From which row or column to which is in sight.
function inSight(scrolled, shown, margin, count) {
  const first = Math.min(Math.floor(scrolled / plane.cell), count);
  return [first, Math.min(count, Math.ceil((scrolled + shown - margin) / plane.cell))];
}

function drawPlane() {
  const box = find("plane"), canvas = find("plane-canvas"), pen = canvas.getContext("2d");
  const { matrix } = looking.view, [width, height] = [box.clientWidth, box.clientHeight], sharp = devicePixelRatio || 1;
  canvas.width = Math.round(width * sharp);
  canvas.height = Math.round(height * sharp);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  pen.scale(sharp, sharp);
  pen.fillStyle = getComputedStyle(root).getPropertyValue("--paper");
  pen.fillRect(0, 0, width, height);
  const rows = inSight(box.scrollTop, height, plane.top, matrix.rows);
  const columns = inSight(box.scrollLeft, width, plane.left, matrix.columns);
  if (rows[1] > rows[0] && columns[1] > columns[0]) drawCells(pen, rows, columns);
  drawLabels(pen, rows, columns);
  placeBands();
}

function drawCells(pen, [firstRow, lastRow], [firstColumn, lastColumn]) {
  const { matrix, top } = looking.view, { cell } = plane, box = find("plane"), colours = coloursNow();
  const wide = lastColumn - firstColumn, high = lastRow - firstRow, image = new ImageData(wide, high);
  for (let at = 0; at < wide * high; at++) putPixel(image.data, at, colours[0]);
  for (let row = firstRow; row < lastRow; row++) {
    eachOf(matrix, row, (key, value) => {
      if (key < firstColumn || key >= lastColumn) return;
      putPixel(image.data, (row - firstRow) * wide + key - firstColumn, colours[shadeOf(value / top)]);
    });
  }
  const small = make("canvas");
  Object.assign(small, { width: wide, height: high });
  small.getContext("2d").putImageData(image, 0, 0);
  const x = plane.left + firstColumn * cell - box.scrollLeft, y = plane.top + firstRow * cell - box.scrollTop;
  pen.save();
  pen.beginPath();
  pen.rect(plane.left, plane.top, box.clientWidth, box.clientHeight);
  pen.clip();
  pen.imageSmoothingEnabled = false;
  pen.drawImage(small, x, y, wide * cell, high * cell);
  pen.strokeStyle = getComputedStyle(root).getPropertyValue("--line");
  pen.beginPath();
  for (let at = 0; cell >= 8 && at <= wide; at++) pen.rect(x + at * cell, y, 0, high * cell);
  for (let at = 0; cell >= 8 && at <= high; at++) pen.rect(x, y + at * cell, wide * cell, 0);
  pen.rect(x, y, wide * cell, high * cell);
  pen.stroke();
  pen.restore();
}

function drawLabels(pen, rows, columns) {
  const { source, target } = looking.view, { cell } = plane, box = find("plane");
  if (cell < SMALLEST_LABEL) return;
  const size = Math.min(cell * 0.85, 13);
  pen.font = fontOf(size);
  pen.fillStyle = getComputedStyle(root).getPropertyValue("--text");
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  for (let row = rows[0]; row < rows[1]; row++) {
    const y = plane.top + (row + 0.5) * cell - box.scrollTop;
    if (y >= plane.top) pen.fillText(fitted(pen, target.labels[row], plane.left - 8), plane.left - 6, y);
  }
  for (let column = columns[0]; column < columns[1]; column++) {
    const x = plane.left + (column + 0.5) * cell - box.scrollLeft;
    if (x < plane.left) continue;
    pen.save();
    pen.translate(x, plane.top - 5);
    if (plane.flat || upright(source.labels[column])) {
      pen.textAlign = "center";
      const signs = plane.flat ? [source.labels[column]] : [...source.labels[column]];
      signs.forEach((sign, at) => pen.fillText(sign, 0, (at + 0.5 - signs.length) * size * 1.1));
    } else {
      pen.rotate(-Math.PI / 2);
      pen.textAlign = "left";
      pen.fillText(fitted(pen, source.labels[column], plane.top - 8), 0, 0);
    }
    pen.restore();
  }
}

// Short Chinese and the like stands, one character below the other.
const upright = (label) => label.length <= 8 && [...label].every((sign) => UPRIGHT.test(sign));

function fitted(pen, label, room) {
  if (pen.measureText(label).width <= room) return label;
  let few = 0, many = Math.min(label.length, 80);
  while (many - few > 1) {
    const middle = (few + many) >> 1;
    if (pen.measureText(label.slice(0, middle) + "…").width <= room) few = middle;
    else many = middle;
  }
  return label.slice(0, few) + "…";
}

// The row and the column that are told of, as frames over the map.
function placeBands() {
  const box = find("plane"), { cell, left, top } = plane, { row, column } = pointedAt();
  const { matrix } = looking.view;
  const put = (id, shown, x, y, width, height) => {
    const band = find(id);
    band.hidden = !shown;
    Object.assign(band.style, { left: `${x}px`, top: `${y}px`, width: `${width}px`, height: `${height}px` });
  };
  put("plane-row", row !== null && row * cell >= box.scrollTop, 0, top + (row ?? 0) * cell,
    left + matrix.columns * cell, Math.max(cell, 3));
  put("plane-column", column !== null && column * cell >= box.scrollLeft, left + (column ?? 0) * cell, 0,
    Math.max(cell, 3), top + matrix.rows * cell);
}

function cellAt(event) {
  const box = find("plane"), edge = box.getBoundingClientRect(), { matrix } = looking.view;
  const x = event.clientX - edge.left - plane.left, y = event.clientY - edge.top - plane.top;
  const row = y < 0 ? null : Math.floor((y + box.scrollTop) / plane.cell);
  const column = x < 0 ? null : Math.floor((x + box.scrollLeft) / plane.cell);
  if (row >= matrix.rows || column >= matrix.columns || (row === null && column === null)) return null;
  return { row, column };
}

function showCell(row, column) {
  const box = find("plane"), { cell, left, top } = plane;
  const near = (scrolled, place, shown) =>
    Math.max(Math.min(scrolled, place * cell), (place + 1) * cell - shown);
  if (row !== null) box.scrollTop = near(box.scrollTop, row, box.clientHeight - top);
  if (column !== null) box.scrollLeft = near(box.scrollLeft, column, box.clientWidth - left);
}

find("plane").addEventListener("scroll", () => drawPlane());
find("plane").addEventListener("pointermove", (event) => hoverLook(cellAt(event)));
find("plane").addEventListener("pointerleave", () => hoverLook(null));
find("plane").addEventListener("click", (event) => {
  const place = cellAt(event);
  if (place) pin(place.row, place.row === null ? place.column : null);
});
find("plane").addEventListener("keydown", (event) => {
  const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  event.stopPropagation();
  const { matrix } = looking.view, at = looking.hovered ?? { row: looking.row, column: looking.column };
  const moved = (from, by, count) => Math.max(0, Math.min((from ?? (by < 0 ? count : by ? -1 : 0)) + by, count - 1));
  const row = moved(at.row, step[0], matrix.rows), column = moved(at.column, step[1], matrix.columns);
  if (!matrix.rows || !matrix.columns) return;
  hoverLook({ row, column });
  showCell(row, column);
});
find("zoom").addEventListener("input", layPlane);
