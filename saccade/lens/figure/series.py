"""The attended series: the past, the forecast and the truth as lines, the background dark where it looked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from saccade.lens import fonts
from saccade.lens.figure.ink import FAINT, GRID, INK, TEXT, WARM, blank, lettering, palette
from saccade.lens.maps import readable, scale_end, visible
from saccade.lens.series import AttendedSeries, Panel, most_looked_at

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 8.4, 1.45  # inches, of a panel
GAP = 0.32  # inches between panels
MOST = 8  # variables
TICKS = 5
FONT, SMALL = 9.0, 8.0  # points
WASH = INK[:4]  # light enough for lines to stand out


def draw(series: AttendedSeries, *, title: str = "") -> Figure:
    """`series` as one panel for each variable, what is forecast first; of many those that were looked at most."""
    shown, out = most_looked_at(series, MOST)
    names = [visible(panel.name).replace("␣", " ") for panel in shown]
    times = [visible(time).replace("␣", " ") for time in series.times]
    title, note = (" ".join(readable(words).split()) for words in (title, series.note))
    if out:
        note += f"{'; ' if note else ''}left out: {out} of {out + len(shown)} variables"
    families, missing = fonts.choose([*names, *times, title, note])
    style = lettering(families) | {"size": SMALL}

    height = max(len(shown), 1) * (HEIGHT + GAP)
    drawn = blank(WIDTH, height)
    top = scale_end(np.concatenate([panel.weights for panel in shown] or [np.zeros(0, dtype=np.float32)]))
    for place, panel in enumerate(shown):
        bottom = height - place * (HEIGHT + GAP) - HEIGHT
        axes = drawn.add_axes((0, bottom / height, 1, HEIGHT / height), facecolor="white")
        _wash(axes, panel, top)
        _lines(axes, panel, series)
        _frame(axes, fonts.boxed(names[place], missing), style)
    if shown:
        _time_labels(axes, [fonts.boxed(time, missing) for time in times], series, style)
        _legend(drawn, series, style)
        _caption(drawn, fonts.boxed(title, missing), fonts.boxed(note, missing), style)
        if series.weights.size:
            _bar(drawn, top, style)
    return drawn


def _wash(axes: Axes, panel: Panel, top: float) -> None:
    if not panel.weights.size:
        return
    edges = np.arange(len(panel.weights) + 1) - 0.5
    axes.pcolormesh(
        edges,
        np.array([0.0, 1.0]),
        panel.weights[None],
        cmap=palette(WASH),
        vmin=0,
        vmax=top,
        transform=axes.get_xaxis_transform(),  # over the whole height, whatever the values are
        rasterized=True,
        zorder=0,
    )


def _lines(axes: Axes, panel: Panel, series: AttendedSeries) -> None:
    steps, horizon = len(series.past), np.arange(len(series.predicted)) + len(series.past)
    past = np.arange(steps)
    dot = "o" if len(horizon) == 1 else ""
    if panel.past.size:
        axes.plot(past, panel.past, color=TEXT, linewidth=1.1)
    # Both begin where the past ends, so that the eye can follow.
    for values, colour, dashes in ((panel.truth, TEXT, "--"), (panel.predicted, WARM, "-")):
        if values.size:
            times = np.r_[past[-1:], horizon] if panel.past.size else horizon
            axes.plot(
                times,
                np.r_[panel.past[-1:], values],
                color=colour,
                linestyle=dashes,
                linewidth=1.3,
                marker=dot,
                markersize=3,
                markevery=[-1],
            )
    axes.axvline(steps - 0.5, color=FAINT, linewidth=0.6)
    # Given, because the wash has no values and would be taken for some.
    values = np.concatenate([panel.past, panel.predicted, panel.truth])
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    room = 0.08 * (high - low) or 0.5
    axes.set(xlim=(-0.5, steps + len(series.predicted) - 0.5), ylim=(low - room, high + room))


def _frame(axes: Axes, name: str, style: dict[str, Any]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.tick_params(which="both", length=0, labelbottom=False, pad=4)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    for label in axes.get_yticklabels():
        label.set(**(style | {"color": FAINT}))
    for spine in axes.spines.values():
        spine.set(color=GRID, linewidth=0.8)
    axes.set_title(name, loc="left", pad=4, **(style | {"size": FONT}))


def _time_labels(axes: Axes, times: list[str], series: AttendedSeries, style: dict[str, Any]) -> None:
    last = (len(times) or len(series.past) + len(series.predicted)) - 1
    places = sorted({round(last * tick / (TICKS - 1)) for tick in range(TICKS)})
    axes.tick_params(labelbottom=True)
    axes.set_xticks(places, [times[place] if times else str(place) for place in places], **(style | {"color": FAINT}))
    # At the edges a label ends with its panel.
    axes.get_xticklabels()[0].set_horizontalalignment("left")
    axes.get_xticklabels()[-1].set_horizontalalignment("right")


def _legend(drawn: Figure, series: AttendedSeries, style: dict[str, Any]) -> None:
    from matplotlib.lines import Line2D

    lines = [
        Line2D([], [], color=TEXT, linewidth=1.1, label="past"),
        Line2D([], [], color=WARM, linewidth=1.3, label="forecast"),
        Line2D([], [], color=TEXT, linewidth=1.3, linestyle="--", label="truth"),
    ]
    drawn.axes[0].legend(
        handles=lines if series.truth is not None else lines[:2],
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=3,
        frameon=False,
        prop={"family": style["family"], "size": SMALL},
        borderaxespad=0.2,
    )


def _caption(drawn: Figure, title: str, note: str, style: dict[str, Any]) -> None:
    first, last = drawn.axes[0], drawn.axes[-1]
    if title:
        place: dict[str, Any] = {"xytext": (0, 24), "textcoords": "offset points", "annotation_clip": False}
        first.annotate(title, (0, 1), xycoords="axes fraction", **(place | style | {"size": FONT + 3}))
    if note:
        place = {"xytext": (0, -22), "textcoords": "offset points", "annotation_clip": False, "va": "top"}
        last.annotate(note, (0, 0), xycoords="axes fraction", **(place | style | {"color": FAINT}))


def _bar(drawn: Figure, top: float, style: dict[str, Any]) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    width, height = drawn.get_size_inches()
    place = drawn.add_axes((1 + 0.16 / width, 1 - HEIGHT / height, 0.1 / width, HEIGHT / height))
    bar = drawn.colorbar(ScalarMappable(Normalize(0, top), palette(WASH)), cax=place)
    bar.outline.set(edgecolor=GRID, linewidth=0.8)
    place.tick_params(which="both", length=0, pad=4)
    place.set_yticks([0, top / 2, top], [f"{tick:.3g}" for tick in (0, top / 2, top)], **(style | {"color": FAINT}))
    place.set_title("weight", loc="left", pad=8, **(style | {"color": FAINT}))
