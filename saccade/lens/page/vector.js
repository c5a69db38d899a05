// The map that is shown as an SVG file, in the colours of paper whatever the screen's are.
const PRINT = coloursBetween([[255, 255, 255], [156, 203, 230], [63, 134, 192], [16, 38, 94]]);
const MOST_CELLS = 20000;  // beyond which the cells are one image

function mapVector() {
  const { source, target, matrix, top } = looking.view, cell = Math.max(4, Math.min(18, 2400 / (matrix.columns || 1)));
  const size = Math.min(12, cell * 0.8), named = size >= 5, wide = (label) => label.length * size * 0.66 + 8;
  const longest = (labels) => named ? Math.min(labels.reduce((most, label) => Math.max(most, wide(label)), 0), 220) : 4;
  const left = longest(target.labels), above = longest(source.labels) + 24;
  const width = left + matrix.columns * cell + 8, height = above + matrix.rows * cell + 8;
  const drawn = document.createElementNS(find("plot").namespaceURI, "svg");
  const box = { width: Math.max(width, 320), height, viewBox: `0 0 ${Math.max(width, 320)} ${height}` };
  for (const [name, value] of Object.entries(box)) drawn.setAttribute(name, value);
  drawn.setAttribute("font-family", "sans-serif");
  vector(drawn, "rect", { width: "100%", height: "100%", fill: "#fff" });
  vector(drawn, "text", { x: 4, y: 15, "font-size": 13, fill: "#1c2430" }, chosenName());
  const colour = (value) => `rgb(${PRINT[shadeOf(value / top)].join(" ")})`;
  if (matrix.keys.length > MOST_CELLS) {
    const image = { x: left, y: above, width: matrix.columns * cell, height: matrix.rows * cell };
    vector(drawn, "image", { ...image, preserveAspectRatio: "none", style: "image-rendering: pixelated" })
      .setAttribute("href", cellsImage(matrix, top));
  } else {
    for (let row = 0; row < matrix.rows; row++) {
      eachOf(matrix, row, (key, value) => vector(drawn, "rect", {
        x: left + key * cell, y: above + row * cell, width: cell, height: cell, fill: colour(value),
      }));
    }
  }
  const frame = { x: left, y: above, width: matrix.columns * cell, height: matrix.rows * cell };
  vector(drawn, "rect", { ...frame, fill: "none", stroke: "#c8d0d9" });
  if (!named) return drawn;
  const text = { "font-size": size, fill: "#1c2430" };
  const cutAt = (label) => label.length > 32 ? label.slice(0, 31) + "…" : label;
  target.labels.forEach((label, row) => vector(drawn, "text",
    { ...text, x: left - 4, y: above + (row + 0.5) * cell + size * 0.35, "text-anchor": "end" }, cutAt(label)));
  source.labels.forEach((label, column) => {
    const x = left + (column + 0.5) * cell, alone = [...label].length === 1;
    const turned = { transform: `translate(${x + size * 0.35} ${above - 4}) rotate(-90)` };
    vector(drawn, "text", { ...text, ...(alone ? { x, y: above - 4, "text-anchor": "middle" } : turned) }, cutAt(label));
  });
  return drawn;
}

function cellsImage(matrix, top) {
  const canvas = make("canvas"), image = new ImageData(matrix.columns, matrix.rows);
  Object.assign(canvas, { width: matrix.columns, height: matrix.rows });
  for (let at = 0; at < matrix.columns * matrix.rows; at++) putPixel(image.data, at, PRINT[0]);
  for (let row = 0; row < matrix.rows; row++) {
    eachOf(matrix, row, (key, value) => putPixel(image.data, row * matrix.columns + key, PRINT[shadeOf(value / top)]));
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas.toDataURL();
}

const vectorText = () => new XMLSerializer().serializeToString(mapVector());

function saveVector() {
  const link = make("a"), address = URL.createObjectURL(new Blob([vectorText()], { type: "image/svg+xml" }));
  Object.assign(link, { href: address, download: "attention.svg" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

// Within a notebook's frame the clipboard may be closed; then the older way may still be open.
async function copyVector() {
  const text = vectorText();
  try {
    await navigator.clipboard.writeText(text);
    find("copy-said").textContent = "Copied.";
  } catch {
    const area = make("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    find("copy-said").textContent = document.execCommand("copy") ? "Copied." : "The browser does not let this page copy.";
    area.remove();
  }
}

find("save-vector").addEventListener("click", saveVector);
find("copy-vector").addEventListener("click", copyVector);
