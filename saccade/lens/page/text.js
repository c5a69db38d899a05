// Shaded texts: words on the colour of their weight, a bar before each sentence for its own.
const reading = { words: [], place: null, hovered: null };

views.text = {
  asked: (example) => example.text || example.sentences.map((words) => words.join(example.gap)).join(" "),
  draw(example) {
    drawScores(example);
    const hops = example.tops.length;  // the mean, and each hop by itself where there are several
    find("hop").replaceChildren(...example.tops.map((_, hop) => {
      const option = make("option", "", hop ? String(hop) : "all, averaged");
      option.value = hop;
      return option;
    }));
    find("hops").hidden = hops === 1;
    find("bars").hidden = !example.shares;
    find("drawn").textContent = "weight of the word" + (example.shares ? " × √ weight of its sentence" : "");
    drawPassage(example);
  },
  leftward: () => {
    const word = find("passage").querySelector("p");
    return word !== null && getComputedStyle(word).direction === "rtl";
  },
  step(steps) {
    if (!reading.words.length) return;
    const from = reading.place ?? (steps > 0 ? -1 : reading.words.length);
    reading.place = Math.max(0, Math.min(from + steps, reading.words.length - 1));
    mark("passage", "word-" + reading.place);
    showWord();
  },
};

function drawScores(example) {
  const scores = example.scores.length || !example.answer ? example.scores : [[example.answer, null]];
  find("scores").replaceChildren(...scores.flatMap(([label, score]) => {
    const meter = make("dd", score === null ? "" : "meter"), bar = make("i");
    bar.style.setProperty("--part", (score ?? 0) / data.scale);
    if (score !== null) meter.append(bar);
    return [make("dt", label === example.answer ? "answer" : "", label), meter,
      make("dd", "", score === null ? "" : written(score))];
  }));
}

function drawPassage(example) {
  const { sentences, weights, shares, gap, tops } = example, hop = Number(find("hop").value) || 0;
  Object.assign(reading, { words: [], place: null, hovered: null });
  const most = shares && (largest(shares) || 1);
  find("passage").className = [shares ? "document" : "", gap ? "" : "unspaced"].join(" ").trim();
  find("passage").replaceChildren(...sentences.map((words, sentence) => {
    const group = make("div", "sentence"), line = make("p");
    group.setAttribute("role", "group");
    line.dir = "auto";
    if (shares) {
      group.append(shareOf(shares[sentence], most));
      group.setAttribute("aria-label", `Sentence ${sentence + 1}, weight ${written(shares[sentence])}`);
    }
    words.forEach((word, place) => {
      if (place && gap) line.append(gap);
      line.append(wordOf(word, weightOf(weights[sentence], hop, place), shares ? shares[sentence] : null, tops[hop]));
    });
    group.append(line);
    return group;
  }));
  find("top").textContent = tops[hop] / data.scale;
  showWord();
}

const weightOf = (hops, hop, place) =>
  hop ? hops[hop - 1][place] : hops.reduce((sum, row) => sum + row[place], 0) / hops.length;

function shareOf(share, most) {
  const element = make("div", "share"), bar = make("i");
  bar.style.setProperty("--part", share / most);
  element.append(make("b", "", written(share)), bar);
  element.setAttribute("aria-hidden", "true");
  return element;
}

function wordOf(word, weight, share, top) {
  const element = make("span", "", word), drawn = share === null ? weight : weight * Math.sqrt(share / data.scale);
  element.id = "word-" + reading.words.length;
  element.dataset.place = reading.words.length;
  element.setAttribute("role", "option");
  shade(element, Math.min(drawn / top, 1));
  reading.words.push({ word, weight, share, drawn });
  return element;
}

function showWord() {
  const readout = find("readout"), place = reading.hovered ?? reading.place;
  if (!reading.words.length) return readout.replaceChildren("Nothing was read.");
  if (place === null) {
    const drawn = reading.words.map((word) => word.drawn), places = mostOf(drawn, 1);
    readout.replaceChildren(places.length ? "Looked at most: " : "Looked at nothing.");
    places.forEach((at, index) => {
      readout.append(index ? ", " : "", make("b", "", reading.words[at].word), " ", make("i", "", written(drawn[at])));
    });
    return undefined;
  }
  const { word, weight, share, drawn } = reading.words[place];
  const how = share === null ? "" : ` × √${written(share)} of its sentence = ${written(drawn)}`;
  return readout.replaceChildren(make("b", "", word), " ", make("i", "", written(weight) + how));
}

function hoverWord(place) {
  if (reading.hovered === place) return;
  reading.hovered = place;
  showWord();
}

find("hop").addEventListener("change", () => drawPassage(current()));
find("passage").addEventListener("pointerover", (event) => {
  hoverWord(event.target.dataset.place === undefined ? null : Number(event.target.dataset.place));
});
find("passage").addEventListener("pointerleave", () => hoverWord(null));
