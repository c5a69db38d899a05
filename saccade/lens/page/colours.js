// Shades of weights for what is drawn pixel by pixel, as the style sheet shades all else.
const ink = { colours: null };

// 256 colours from paper to deep, as the style sheet has them just now.
function coloursNow() {
  if (ink.colours) return ink.colours;
  const style = getComputedStyle(root);
  const stops = ["--paper", "--low", "--mid", "--deep"].map((name) => {
    const hex = style.getPropertyValue(name).trim().slice(1);
    const pairs = hex.length === 3 ? [...hex].map((digit) => digit + digit) : hex.match(/../g);
    return pairs.map((pair) => parseInt(pair, 16));
  });
  ink.colours = coloursBetween(stops);
  return ink.colours;
}

const coloursBetween = (stops) => Array.from({ length: 256 }, (_, step) => {
  const place = step / 255 * (stops.length - 1), below = Math.min(Math.floor(place), stops.length - 2);
  return stops[below].map((value, at) => Math.round(value + (stops[below + 1][at] - value) * (place - below)));
});

const shadeOf = (part) => Math.round(255 * Math.min(part, 1));

function putPixel(pixels, at, [red, green, blue]) {
  pixels[4 * at] = red;
  pixels[4 * at + 1] = green;
  pixels[4 * at + 2] = blue;
  pixels[4 * at + 3] = 255;
}

// Before any view that redraws itself, for it listens first.
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { ink.colours = null; });
