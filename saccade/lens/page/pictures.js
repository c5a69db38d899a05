// Pictures: unpacked where they are looked at, and lit where weights lie on them.
const LIT = { veil: 0.7, glow: 0.2 };  // as in the pictures that are files

function bytesOf(text) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let at = 0; at < raw.length; at++) bytes[at] = raw.charCodeAt(at);
  return bytes;
}

const bitmapOf = (picture) => createImageBitmap(new Blob([bytesOf(picture.png)], { type: "image/png" }));

function pixelsOf(bitmap, width, height) {
  const canvas = make("canvas");
  Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(bitmap, 0, 0, width, height);
  return pen.getImageData(0, 0, width, height);
}

// For each of `length` pixels the two cells between whose middles it lies, and how near it is to the second.
function between(cells, length, smooth) {
  return Array.from({ length }, (_, at) => {
    const place = (at + 0.5) * cells / length;
    if (!smooth) return [Math.floor(place), Math.floor(place), 0];
    const middle = Math.max(0, Math.min(place - 0.5, cells - 1)), below = Math.floor(middle);
    return [below, Math.min(below + 1, cells - 1), middle - below];
  });
}

// Brighter, the more of `parts` lies there: shares of the largest weight, row by row, of cells that cover the pixels.
function lit(pixels, parts, [rows, columns], strength = 1, smooth = true) {
  const { width, height, data: from } = pixels, picture = new ImageData(width, height), to = picture.data;
  const across = between(columns, width, smooth), veil = LIT.veil * strength, glow = LIT.glow * strength;
  between(rows, height, smooth).forEach(([above, below, down], y) => {
    for (let x = 0, at = y * width * 4; x < width; x++, at += 4) {
      const [left, right, along] = across[x];
      const over = parts[above * columns + left] * (1 - along) + parts[above * columns + right] * along;
      const under = parts[below * columns + left] * (1 - along) + parts[below * columns + right] * along;
      const part = over * (1 - down) + under * down, light = 1 - veil * (1 - part), dark = 1 - glow * part;
      for (let channel = at; channel < at + 3; channel++) to[channel] = 255 - (255 - from[channel] * light) * dark;
      to[at + 3] = 255;
    }
  });
  return picture;
}

// Weights are whole parts of the largest of their row.
const partsOf = (row) => row.map((whole) => whole / data.scale);
const digits = (value, count = 2) => String(Number(value.toPrecision(count)));

// The three largest at the end of the readout, without those that are next to nothing.
function tellMost(values, name) {
  const readout = find("readout"), places = mostOf(values, largest(values) / 100).filter((place) => values[place] > 0);
  if (!places.length) readout.append("nothing");
  places.forEach((place, at) => {
    readout.append(at ? ", " : "", make("b", "", name(place)), " ", make("i", "", digits(values[place])));
  });
}
