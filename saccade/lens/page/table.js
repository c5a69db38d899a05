// A comparison: a row of figures for each example; a click on a heading sorts, a click on a row shows its drawing.
const order = { column: null, down: false };

function drawTable() {
  const { columns, rows } = data.table;
  const head = make("thead"), line = make("tr"), body = make("tbody");
  line.append(...columns.map((name, column) => {
    const cell = make("th"), button = make("button", "", name || "name");
    cell.scope = "col";
    button.type = "button";
    button.title = "Sort";
    button.addEventListener("click", () => sortBy(column));
    cell.append(button);
    return cell;
  }));
  head.append(line);
  body.append(...rows.map((row, index) => rowOf(row, index)));
  find("table").replaceChildren(head, body);
  find("comparison").hidden = false;
}

function rowOf([name, ...figures], index) {
  const line = make("tr"), head = make("th"), button = make("button", "", name);
  head.scope = "row";
  button.type = "button";
  head.append(button);
  line.dataset.row = index;
  line.append(head, ...figures.map((figure) => {
    const cell = make("td", "", figure ? figure[1] : "–");
    if (figure && figure[2]) cell.append(" ", make("small", "", figure[2]));
    return cell;
  }));
  line.addEventListener("click", () => chooseRow(index));
  return line;
}

function chooseRow(index) {
  find("name").hidden = false;
  find("name").textContent = data.table.rows[index][0];
  for (const line of find("table").tBodies[0].rows) {
    const chosen = Number(line.dataset.row) === index;
    line.classList.toggle("chosen", chosen);
    line.querySelector("button").setAttribute("aria-pressed", chosen);
  }
  choose(index);
}

// First up, then down; what has no figure comes last either way.
function sortBy(column) {
  Object.assign(order, { down: order.column === column && !order.down, column });
  const { rows } = data.table, value = (index) => column ? rows[index][column]?.[0] ?? null : rows[index][0];
  const body = find("table").tBodies[0];
  const sorted = [...body.rows].sort((one, other) => {
    const a = value(one.dataset.row), b = value(other.dataset.row);
    if (a === null || b === null) return (a === null) - (b === null);
    const less = column ? a - b : a < b ? -1 : a > b ? 1 : 0;
    return order.down ? -less : less;
  });
  body.append(...sorted);
  [...find("table").tHead.rows[0].cells].forEach((cell, place) => {
    if (place === column) cell.setAttribute("aria-sort", order.down ? "descending" : "ascending");
    else cell.removeAttribute("aria-sort");
  });
}
