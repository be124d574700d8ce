"""Draws the figures of a report from the tables of :mod:`cmss.report.data`."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cmss.report.data import RunScores
from cmss.report.panels import LEFT, RIGHT
from cmss.scenes import INSTRUMENTS, Pair, by_track

# Colours by Okabe and Ito, which people with colour blindness can distinguish.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MARKERS = "os^Dvx"
_POINTS: dict[str, Any] = {"color": _COLOURS[0], "ms": 4, "alpha": 0.5, "mew": 0}


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, 3.6), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    return figure, axes


def all_pairs(runs: Sequence[RunScores]) -> Figure:
    """Plot HAAQI of every pair in each run; pairs are sorted by their scores in the first run.

    Source:
        Figure 17 of the report on the University of Thessaly's entry to the challenge.
    """
    figure, axes = _figure()
    order = np.argsort(runs[0].table.average.to_numpy(), kind="stable")
    size = max(1.0, min(5.0, 300 / len(order)))
    for number, run in enumerate(runs):
        style = number % len(_COLOURS)
        axes.plot(np.arange(1, len(order) + 1), run.table.average.to_numpy()[order], label=run.name,
            color=_COLOURS[style], marker=_MARKERS[style], ms=size, lw=0)  # fmt: skip
    axes.set(
        xlabel=f"pairs, by the score of {runs[0].name}", ylabel="HAAQI, both ears", ylim=(0, 1.02)
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    return figure


def instruments(pairs: Sequence[Pair]) -> Figure:
    """Plot the number of players of each instrument in all tracks.

    Source:
        Figure 16 of the report on the University of Thessaly's entry to the challenge.
    """
    players = Counter(
        source.instrument for track, _ in by_track(pairs) for source in track.sources.values()
    )
    figure, axes = _figure()
    axes.bar(INSTRUMENTS, [players[name] for name in INSTRUMENTS], color=_COLOURS[0])
    axes.set(ylabel="players, over all tracks")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def by_hearing_loss(run: RunScores) -> Figure:
    """Plot the mean HAAQI of each listener against the hearing loss of the better ear."""
    figure, axes = _figure()
    means = run.table.groupby("listener")[["left", "right", "loss_db"]].mean()
    axes.plot(means.loss_db, means.left, "x", color=LEFT, label="left")
    axes.plot(means.loss_db, means.right, "o", color=RIGHT, mfc="none", label="right")
    axes.set(xlabel="pure-tone average of the better ear (dB HL)", ylabel="mean HAAQI")
    axes.legend(frameon=False)
    return figure


def by_spread(run: RunScores) -> Figure:
    """Plot HAAQI of each pair against the difference between the largest and the smallest gain."""
    figure, axes = _figure()
    axes.plot(run.table.spread_db, run.table.average, "o", **_POINTS)
    axes.set(xlabel="largest minus smallest gain (dB)", ylabel="HAAQI, both ears")
    return figure


def by_players(run: RunScores) -> Figure:
    """Plot HAAQI of each pair, and the mean HAAQI, against the number of players."""
    figure, axes = _figure()
    axes.plot(run.table.players, run.table.average, "o", **_POINTS)
    means = run.table.groupby("players").average.mean()
    axes.plot(means.index, means, "_", color="black", ms=30, mew=2, label="mean")
    axes.set(xlabel="players", ylabel="HAAQI, both ears", xticks=means.index)
    axes.margins(x=0.15)
    axes.legend(frameon=False)
    return figure
