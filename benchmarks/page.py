"""The page of a whole model: how large it is, how fast it opens, how fast it answers.

usage: python benchmarks/page.py [--tokens 512] [--layers 12] [--heads 12] [--rounds 5] [--out FILE]

Random weights with a band and a sink, [layers, heads, tokens, tokens], of which the page takes the largest of each row
that fit. Needs playwright and Chromium.

1. Size of the file, and the share of the weights that it leaves out.
2. Opening: from the start of the navigation until the map answers, and until the small maps in sight are drawn; a
   fresh tab each time.
3. Hovering over tokens that looked, over tokens that were looked at and over cells of the map: from the event until the
   readout and the shades are laid out, and until the frame with them was painted, which waits for the screen's next.
"""

import argparse
import json
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright
from provenance import provenance

from saccade.lens import page
from saccade.lens.heads import Layers, layers, site
from saccade.lens.tokens import tokens

HERE = Path(__file__).parent
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
HOVERS = 150  # of each kind

WATCH = """
new MutationObserver((_, watch) => {
  if (!document.documentElement?.dataset.ready) return;
  watch.disconnect();
  window.readyAt = performance.now();
}).observe(document, { attributes: true, subtree: true, attributeFilter: ["data-ready"] });
"""
HOVER = """async ([id, x, y]) => {
  const where = document.getElementById(id), box = where.getBoundingClientRect();
  const at = { bubbles: true, clientX: box.left + x * box.width, clientY: box.top + y * box.height };
  const start = performance.now();
  where.dispatchEvent(new PointerEvent(id === "plane" ? "pointermove" : "pointerover", at));
  document.body.offsetHeight;
  const laid = performance.now() - start;
  await new Promise((done) => requestAnimationFrame(() => {
    const port = new MessageChannel();
    port.port1.onmessage = done;
    port.port2.postMessage(0);
  }));
  return [laid, performance.now() - start];
}"""


def model(length: int, depth: int, heads: int) -> Layers:
    """Weights with a band, a sink and noise."""
    rng = np.random.default_rng(0)
    axis = tokens([f"token{place}" for place in range(length)], special=[0])
    rows = np.arange(length)
    sites = []
    for place in range(depth):
        weights = rng.gamma(0.2, 1, (heads, length, length)).astype(np.float32)
        for head in range(heads):
            weights[head, rows, np.clip(rows + head % 5 - 2, 0, length - 1)] += 20 * rng.uniform(0.5, 3)
        weights[:, :, 0] += 30
        weights /= weights.sum(-1, keepdims=True)
        sites.append(site(f"encoder.layer.{place}.attention", axis, axis, weights))
    return layers(sites, figures={"entropy": [rng.uniform(0, 6, heads) for _ in range(depth)]})


def opened(browser: Browser, file: Path) -> tuple[Page, float, float]:
    """A page in a new tab, and the milliseconds until it was ready, and until all heads in sight were drawn."""
    shown = browser.new_page(viewport={"width": 1280, "height": 900})
    shown.add_init_script(WATCH)
    shown.goto(file.as_uri())
    shown.wait_for_selector(".head.drawn:last-child")
    return shown, float(shown.evaluate("readyAt")), float(shown.evaluate("performance.now()"))


def hovers(shown: Page, length: int) -> dict[str, Any]:
    """Milliseconds of hovers over each part: until laid out, until painted."""
    draw = random.Random(0)
    places = {
        "tokens that looked": lambda: [f"lookers-{draw.randrange(length)}", 0.5, 0.5],
        "tokens looked at": lambda: [f"seen-{draw.randrange(length)}", 0.5, 0.5],
        "cells of the map": lambda: ["plane", draw.uniform(0.05, 0.75), draw.uniform(0.05, 0.95)],
    }
    found = {}
    for name, place in places.items():
        taken = [shown.evaluate(HOVER, place()) for _ in range(HOVERS)]
        found[name] = {
            what: {"median_ms": statistics.median(each), "worst_ms": max(each)}
            for what, each in zip(("laid", "painted"), zip(*taken, strict=True), strict=True)
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "page.json")
    options = parser.parse_args()
    drawn = model(options.tokens, options.layers, options.heads)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "page.html"
        start = time.perf_counter()
        page.save([drawn], file, title="Attention")
        saving = time.perf_counter() - start
        program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        times, grids = [], []
        for _ in range(options.rounds):
            shown, taken, grid = opened(browser, file)
            times.append(taken)
            grids.append(grid)
            left_out = shown.inner_text("#left-out")
            answers = hovers(shown, options.tokens) if len(times) == options.rounds else {}
            shown.close()
        results = {
            **provenance(),
            "browser": f"Chromium {browser.version}",
            "shape": [options.layers, options.heads, options.tokens, options.tokens],
            "bytes": file.stat().st_size,
            "left_out": left_out,
            "saving_seconds": saving,
            "open_ms": {"median": statistics.median(times), "worst": max(times)},
            "grid_ms": {"median": statistics.median(grids), "worst": max(grids)},
            "hover": answers,
        }
        browser.close()
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    print(
        f"{results['bytes']:,} bytes; opens in {results['open_ms']['median']:.0f} ms, "
        f"small maps in {results['grid_ms']['median']:.0f} ms; {left_out}"
    )
    for name, each in answers.items():
        print(f"{name}: laid {each['laid']['median_ms']:.1f} ms, at worst {each['laid']['worst_ms']:.1f}; "
              f"painted {each['painted']['median_ms']:.1f} ms, at worst {each['painted']['worst_ms']:.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
