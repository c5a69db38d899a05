// Heat maps: what was read, what was written, and the weights between them.
const EAST_ASIAN = /\p{sc=Han}|\p{sc=Hiragana}|\p{sc=Katakana}|\p{sc=Hangul}/u;
const LONG_TEXT = 300, WIDE = 24, DENSE = 80;  // characters, columns, columns or rows
const COPIED = 0.5;  // share of a token from which it counts as copied

const cursor = { row: 0, hovered: null, column: null };
const copies = (example, row) => example.copied.length > 0 && example.copied[row] > COPIED * data.scale;

views.map = {
  asked: (example) => example.text,
  draw(example) {
    Object.assign(cursor, { row: 0, hovered: null, column: null });
    drawRead(example);
    drawWrote(example);
    drawMap(example);
    find("copied").hidden = !example.target.some((_, row) => copies(example, row));
    selectRow(0);
  },
  leftward: () => getComputedStyle(find("wrote")).direction === "rtl",
  step(steps) {
    Object.assign(cursor, { hovered: null, column: null });
    selectRow(cursor.row + steps);
  },
};

function drawRead(example) {
  const read = find("read");
  read.className = example.text.length > LONG_TEXT ? "long" : "";
  read.replaceChildren(...example.pieces.map(([text, token, marked]) => {
    const piece = make("span", marked ? "mark" : "", text);
    if (token >= 0) piece.dataset.token = token;
    return piece;
  }));
}

function drawWrote(example) {
  const wrote = find("wrote");
  wrote.className = example.target.length > DENSE ? "long" : "";
  wrote.replaceChildren(...example.target.map((label, row) => {
    const option = make("span", copies(example, row) ? "copied" : "", label);
    option.id = "written-" + row;
    option.setAttribute("role", "option");
    option.dataset.row = row;
    return option;
  }));
}

function drawMap(example) {
  const { source, target, weights, top } = example;
  const head = make("tr");
  head.append(make("th"), ...source.map((label) => heading(label, "col")));
  const rows = weights.map((row, index) => {
    const line = make("tr");
    line.append(heading(target[index], "row", copies(example, index)), ...row.map((weight) => {
      const cell = make("td");
      shade(cell, weight / top);
      return cell;
    }));
    return line;
  });
  const header = make("thead"), body = make("tbody");
  header.append(head);
  body.append(...rows);
  const map = find("map");
  map.className = [
    source.some((label) => label.length > 2) ? "tall" : "",
    source.length > WIDE ? "wide" : "",
    Math.max(source.length, target.length) > DENSE ? "dense" : "",
  ].join(" ");
  map.style.setProperty("--columns", source.length);
  map.setAttribute("aria-label", `Heat map: ${target.length} tokens written by ${source.length} tokens read`);
  map.replaceChildren(header, body);
  find("top").textContent = top / data.scale;
}

function heading(label, scope, copied = false) {
  const cell = make("th");
  cell.scope = scope;
  cell.title = label;
  cell.append(make("span", [EAST_ASIAN.test(label) ? "upright" : "", copied ? "copied" : ""].join(" ").trim(), label));
  return cell;
}

function selectRow(row) {
  if (!current().target.length) return showMap();
  cursor.row = Math.max(0, Math.min(row, current().target.length - 1));
  mark("wrote", "written-" + cursor.row);
  showMap();
}

// Everything that depends on where the reader is: on a row, and perhaps on a column of it.
function showMap() {
  const { source, target, weights } = current();
  const row = cursor.hovered ?? cursor.row;
  const values = weights[row] ?? [];
  const most = largest(values);
  for (const piece of find("read").children) {
    const token = piece.dataset.token;
    shade(piece, token !== undefined && most ? values[token] / most : 0);
  }
  // From a token read, back to those written that looked at it.
  const back = cursor.hovered === null && cursor.column !== null ? weights.map((line) => line[cursor.column]) : [];
  const strongest = largest(back);
  for (const option of find("wrote").children) shade(option, strongest ? back[option.dataset.row] / strongest : 0);
  for (const element of find("map").querySelectorAll(".row, .column")) element.classList.remove("row", "column");
  find("map").tBodies[0].rows[row]?.classList.add("row");
  if (cursor.column !== null) find("map").tHead.rows[0].cells[cursor.column + 1].classList.add("column");
  if (!values.length) find("readout").textContent = "Nothing was written.";
  else if (back.length) tell(source[cursor.column], " was looked at by ", target, back, mostOf(back));
  else tell(target[row], looked(row), source, values, cursor.column === null ? mostOf(values) : [cursor.column]);
}

function looked(row) {
  const share = current().copied[row] ?? 0;
  return share >= data.scale / 100 ? ` (copied ${written(share)}) looked at ` : " looked at ";
}

function tell(who, did, labels, values, places) {
  const readout = find("readout");
  readout.replaceChildren(make("b", "", who), did, ...(places.length ? [] : ["nothing"]));
  places.forEach((place, index) => {
    if (index) readout.append(", ");
    readout.append(make("b", "", labels[place]), " ", make("i", "", written(values[place])));
  });
}

function hover(row, column) {
  if (current().kind !== "map" || (cursor.hovered === row && cursor.column === column)) return;
  Object.assign(cursor, { hovered: row, column });
  showMap();
}

function placeOf(target) {
  const cell = target.closest("td");
  return cell && { row: cell.parentNode.rowIndex - 1, column: cell.cellIndex - 1 };
}

find("map").addEventListener("pointerover", (event) => {
  const place = placeOf(event.target);
  if (place) hover(place.row, place.column);
});
find("map").addEventListener("click", (event) => {
  const place = placeOf(event.target);
  if (place) selectRow(place.row);
});
find("wrote").addEventListener("pointerover", (event) => {
  if (event.target.dataset.row) hover(Number(event.target.dataset.row), null);
});
find("wrote").addEventListener("click", (event) => {
  if (event.target.dataset.row) selectRow(Number(event.target.dataset.row));
});
find("read").addEventListener("pointerover", (event) => {
  const token = event.target.dataset.token;
  hover(null, token === undefined ? null : Number(token));
});
for (const id of ["map", "wrote", "read"]) find(id).addEventListener("pointerleave", () => hover(null, null));
