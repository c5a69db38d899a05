"use strict";
// What all kinds of drawing share: the list of examples, the one that is chosen, shades, and what is told of it.
const root = document.documentElement;
addEventListener("error", (event) => { root.dataset.error = event.message; });

const find = (id) => document.getElementById(id);
const data = JSON.parse(find("data").textContent);

// A view draws one kind: {draw(example), step(steps, back), asked(example)}; the other files add theirs.
const views = {
  none: { draw: () => find("readout").replaceChildren(), step: () => {}, asked: (example) => example.text },
};

const state = { example: 0, shown: [] };
const current = () => data.examples[state.example];
const view = () => views[current().kind];

// Words reach the page here and nowhere else: as text, never as markup.
function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function shade(element, part) {
  element.classList.toggle("shaded", part > 0);
  if (part > 0) element.style.setProperty("--w", part.toFixed(3));
}

const largest = (values) => values.reduce((most, value) => Math.max(most, value), 0);
const written = (weight) => (weight / data.scale).toFixed(2);

// The three largest, without those that are not worth a word: less than one in a hundred, unless that is all there is.
function mostOf(values, worth = data.scale / 100) {
  const least = Math.min(worth, largest(values) || 1);
  const places = [...values.keys()].filter((place) => values[place] >= least);
  return places.sort((a, b) => values[b] - values[a] || a - b).slice(0, 3);
}

function listExamples() {
  const wanted = find("filter").value.toLowerCase();
  const holds = (example) =>
    [views[example.kind].asked(example), example.answer, example.note].join("\n").toLowerCase().includes(wanted);
  state.shown = [...data.examples.keys()].filter((index) => holds(data.examples[index]));
  find("examples").replaceChildren(...state.shown.map((index) => {
    const item = make("li"), example = data.examples[index];
    item.id = "example-" + index;
    item.setAttribute("role", "option");
    const asked = views[example.kind].asked(example).slice(0, 200);
    item.append(make("span", "asked", asked), make("span", "", example.answer));
    item.addEventListener("click", () => choose(index));
    return item;
  }));
  const all = data.examples.length;
  find("count").textContent = `${state.shown.length === all ? "" : state.shown.length + " of "}${all} examples`;
  mark("examples", "example-" + state.example);
}

function mark(list, id) {
  for (const item of find(list).querySelectorAll("[aria-selected=true]")) item.setAttribute("aria-selected", "false");
  const item = find(id);
  find(list).setAttribute("aria-activedescendant", item ? id : "");
  if (!item) return;
  item.setAttribute("aria-selected", "true");
  item.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function choose(index) {
  state.example = index;
  mark("examples", "example-" + index);
  const example = current();
  for (const part of document.querySelectorAll("[data-of]")) part.hidden = part.dataset.of !== example.kind;
  find("scale").hidden = ["none", "image"].includes(example.kind);
  find("scale").classList.toggle("pale", example.kind === "series");  // as pale as a wash behind lines
  find("note").textContent = example.note;
  view().draw(example);
}

function moveExample(event, steps) {
  if (!(event.key in steps) || !state.shown.length) return;
  event.preventDefault();
  const place = state.shown.indexOf(state.example) + steps[event.key];
  choose(state.shown[Math.max(0, Math.min(place, state.shown.length - 1))]);
}

addEventListener("keydown", (event) => {
  if (event.target.matches?.("input, select, button") || event.ctrlKey || event.metaKey || event.altKey) return;
  const ends = { Home: -Infinity, End: Infinity };
  if (event.target === find("examples")) {
    moveExample(event, { ArrowDown: 1, ArrowUp: -1, ...ends });
    return;
  }
  const forward = view().leftward?.() ? -1 : 1;
  const steps = { ArrowRight: forward, ArrowLeft: -forward, ...ends };
  if (!(event.key in steps)) return;
  event.preventDefault();
  view().step(steps[event.key]);
});
find("filter").addEventListener("input", listExamples);
