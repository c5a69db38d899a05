// Weights of whole models: unpacked where they are looked at, put together, cut down to what is shown.
// A matrix is its rows one after another: row r has the keys and values from starts[r] to starts[r + 1], and rest[r].
const WHOLE = 65535, PART = 4095;  // the largest weight of a head, in a whole site and in cells
const unpacked = new Map();  // by site

function siteOf(site) {
  if (!unpacked.has(site)) {
    unpacked.set(site, { bytes: bytesOf(site.cells), rest: bytesOf(site.rest ?? ""), heads: [] });
  }
  return unpacked.get(site);
}

const sizeOf = (example, site) =>
  [example.axes[site.target].labels.length, example.axes[site.source].labels.length];

function matrixOf(example, site, head) {
  const held = siteOf(site), [rows, columns] = sizeOf(example, site);
  held.heads[head] ??= (site.k === null ? wholeHead : cellHead)(held, site, head, rows, columns);
  return held.heads[head];
}

function wholeHead({ bytes }, site, head, rows, columns) {
  const count = rows * columns, from = head * count * 2, unit = site.units[head] / WHOLE;
  const starts = new Uint32Array(rows + 1), keys = new Uint32Array(count), values = new Float32Array(count);
  let to = 0;
  for (let at = 0; at < count; at++) {
    const value = bytes[from + 2 * at] + bytes[from + 2 * at + 1] * 256, row = Math.floor(at / columns);
    if (value) { keys[to] = at - row * columns; values[to++] = value * unit; }
    starts[row + 1] = to;
  }
  return { rows, columns, starts, keys: keys.subarray(0, to), values: values.subarray(0, to),
    rest: new Float32Array(rows) };
}

function cellHead({ bytes, rest }, site, head, rows, columns) {
  const { k, width } = site, count = rows * k, from = head * count * width, unit = site.units[head] / PART;
  const starts = new Uint32Array(rows + 1), keys = new Uint32Array(count), values = new Float32Array(count);
  let to = 0;
  for (let row = 0; row < rows; row++) {
    for (let at = from + row * k * width, end = at + k * width; at < end; at += width) {
      let cell = 0;  // beyond 32 bits, so no shifts
      for (let byte = width - 1; byte >= 0; byte--) cell = cell * 256 + bytes[at + byte];
      const key = Math.floor(cell / (PART + 1)), value = cell - key * (PART + 1);
      if (value) { keys[to] = key; values[to++] = value * unit; }
    }
    starts[row + 1] = to;
  }
  const left = Float32Array.from(rest.subarray(head * rows, (head + 1) * rows), (byte) => byte / 255 * site.most_rest);
  return { rows, columns, starts, keys: keys.subarray(0, to), values: values.subarray(0, to), rest: left };
}

// Rows of a new matrix; `fill(row, add)` says what is in each, and what falls on one key is summed, or the largest.
function gathered(rows, columns, rest, fill, most = false) {
  const sums = new Float32Array(columns), starts = new Uint32Array(rows + 1), keys = [], values = [];
  for (let row = 0; row < rows; row++) {
    const first = keys.length;
    fill(row, (key, value) => {
      if (!(value > 0)) return;
      if (!sums[key]) keys.push(key);
      sums[key] = most ? Math.max(sums[key], value) : sums[key] + value;
    });
    for (let at = first; at < keys.length; at++) { values.push(sums[keys[at]]); sums[keys[at]] = 0; }
    starts[row + 1] = keys.length;
  }
  return { rows, columns, starts, keys: Uint32Array.from(keys), values: Float32Array.from(values), rest };
}

function eachOf(matrix, row, add, share = 1) {
  for (let at = matrix.starts[row]; at < matrix.starts[row + 1]; at++) add(matrix.keys[at], matrix.values[at] * share);
}

const meanOf = (values) => values.reduce((sum, value) => sum + value, 0) / (values.length || 1);

function combined(matrices, most) {
  if (matrices.length === 1) return matrices[0];
  const [{ rows, columns }] = matrices, share = most ? 1 : 1 / matrices.length;
  const rest = Float32Array.from({ length: rows }, (_, row) => meanOf(matrices.map((one) => one.rest[row])));
  return gathered(rows, columns, rest, (row, add) => {
    for (const one of matrices) eachOf(one, row, add, share);
  }, most);
}

// A word's weight is the sum over its pieces that were looked at and the mean over those that look.
function inWords(matrix, source, target) {
  const columns = source.names?.length ?? matrix.columns, rows = target.names?.length ?? matrix.rows;
  const pieces = Array.from({ length: rows }, () => []);
  for (let row = 0; row < matrix.rows; row++) pieces[target.words?.[row] ?? row].push(row);
  const rest = Float32Array.from(pieces, (of) => meanOf(of.map((row) => matrix.rest[row])));
  return gathered(rows, columns, rest, (row, add) => {
    const put = source.words ? (key, value) => add(source.words[key], value) : add;
    for (const piece of pieces[row]) eachOf(matrix, piece, put, 1 / pieces[row].length);
  });
}

// Some rows and columns of a matrix, without weights below `least`, which count as left out.
function cut(matrix, rows, columns, least, renormalise) {
  const number = new Int32Array(matrix.columns).fill(-1), rest = new Float32Array(rows.length);
  columns.forEach((column, place) => { number[column] = place; });
  const total = rows.map((row) => {
    let sum = matrix.rest[row];
    eachOf(matrix, row, (key, value) => { if (number[key] >= 0) sum += value; });
    return renormalise ? sum || 1 : 1;
  });
  return gathered(rows.length, columns.length, rest, (place, add) => {
    rest[place] += matrix.rest[rows[place]] / total[place];
    eachOf(matrix, rows[place], (key, value) => {
      if (number[key] < 0) return;
      if (value < least) rest[place] += value;
      else add(number[key], value);
    }, 1 / total[place]);
  });
}

// The columns that were looked at most, in their order; what the others had counts as left out.
function mostOfMatrix(matrix, count) {
  const sums = new Float64Array(matrix.columns), number = new Int32Array(matrix.columns).fill(-1);
  matrix.keys.forEach((key, at) => { sums[key] += matrix.values[at]; });
  const kept = [...sums.keys()].filter((key) => sums[key] > 0).sort((a, b) => sums[b] - sums[a]).slice(0, count);
  kept.sort((a, b) => a - b).forEach((key, place) => { number[key] = place; });
  const rest = matrix.rest.slice();
  const cutDown = gathered(matrix.rows, kept.length, rest, (row, add) => eachOf(matrix, row, (key, value) => {
    if (number[key] < 0) rest[row] += value;
    else add(number[key], value);
  }));
  return [cutDown, kept];
}

const rowOfMatrix = (matrix, row) => {
  const pairs = [];
  eachOf(matrix, row, (key, value) => pairs.push([key, value]));
  return pairs.sort((a, b) => b[1] - a[1] || a[0] - b[0]);
};

// Who looked at a column: the matrix is turned once, where it is first asked.
function columnOfMatrix(matrix, column) {
  return rowOfMatrix(turnedOf(matrix), column);
}

function turnedOf(matrix) {
  if (matrix.turned) return matrix.turned;
  const { rows, columns, starts, keys, values } = matrix;
  const first = new Uint32Array(columns + 1), turned = new Uint32Array(keys.length);
  const moved = new Float32Array(keys.length);
  for (const key of keys) first[key + 1]++;
  for (let column = 0; column < columns; column++) first[column + 1] += first[column];
  const next = first.slice();
  for (let row = 0; row < rows; row++) {
    for (let at = starts[row]; at < starts[row + 1]; at++) {
      const to = next[keys[at]]++;
      turned[to] = row;
      moved[to] = values[at];
    }
  }
  matrix.turned = { rows: columns, columns: rows, starts: first, keys: turned, values: moved };
  return matrix.turned;
}

// As in the pictures: the largest weight, rounded up to a tidy number.
function scaleEnd(most) {
  if (!(most > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(most));
  return Number((Math.ceil(Number((most / unit).toFixed(4))) * unit).toPrecision(9));
}
