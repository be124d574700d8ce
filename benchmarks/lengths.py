"""Measure the default separator for recordings of several lengths and numbers of players.

    python -m benchmarks.lengths [--seconds 15 60 300] [--players 2 3 4 5] [--plot docs/lengths.svg]

The command separates synthetic music. The command prints the computing time for one minute of music
and the peak memory: first for the shortest recording with each number of players, then for each
length with four players. Each measurement is made in a separate process that uses all cores.
"""

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import matplotlib.pyplot as plt

from benchmarks.default import total

OF_LENGTHS = 4
"""Number of players of the recordings of several lengths."""


def measured(seconds: float, players: int) -> tuple[float, float]:
    """Return the computing time in seconds for one minute of music, and the peak memory in MiB."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        wall_s, _, memory_mib = pool.submit(total, seconds, players).result()
    return 60 * wall_s / seconds, memory_mib


def plot(path: Path, panels: dict[str, dict[float, tuple[float, float]]]) -> None:
    """Plot the time and the memory against the number of players, and against the length.

    Args:
        path: file of the plot.
        panels: nested dict {label of a horizontal axis: {value on this axis: measurement}}. A
            measurement is a pair: the computing time in seconds for one minute of music, and the
            memory in MiB.
    """
    figure, axes = plt.subplots(2, len(panels), sharex="col", sharey="row", figsize=(6, 4))
    for column, (label, results) in zip(axes.T, panels.items(), strict=True):
        positions = range(len(results))
        for number, axis in enumerate(column):
            axis.plot(positions, [values[number] for values in results.values()], "o-")
            axis.grid(alpha=0.3)
        column[-1].set_xlabel(label)
        column[-1].set_xticks(positions, [f"{value:g}" for value in results])
    # The limits are set after all lines are drawn, because the axes of a row share them.
    for row in axes:
        row[0].set_ylim(bottom=0)
    axes[0, 0].set_ylabel("seconds per minute")
    axes[1, 0].set_ylabel("memory in MiB")
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lengths", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--seconds", type=float, nargs="+", default=[15, 60, 300],
        help="lengths of the recordings in seconds, ascending")  # fmt: skip
    parser.add_argument("--players", type=int, nargs="+", default=[2, 3, 4, 5],
        help="numbers of players")  # fmt: skip
    parser.add_argument("--plot", type=Path, help="file for a plot of the results")
    arguments = parser.parse_args()
    shortest = arguments.seconds[0]
    results: dict[tuple[float, int], tuple[float, float]] = {}
    cases = [(shortest, players) for players in arguments.players]
    cases += [(seconds, OF_LENGTHS) for seconds in arguments.seconds]
    print("| length in s | players | seconds per minute | memory in MiB |")
    print("| ---: | ---: | ---: | ---: |")
    for seconds, players in dict.fromkeys(cases):
        results[seconds, players] = speed, memory = measured(seconds, players)
        print(f"| {seconds:g} | {players} | {speed:.0f} | {memory:,.0f} |", flush=True)
    if arguments.plot:
        of_players = {players: results[shortest, players] for players in arguments.players}
        of_seconds = {seconds: results[seconds, OF_LENGTHS] for seconds in arguments.seconds}
        plot(arguments.plot, {"players": of_players, "length in s, four players": of_seconds})


if __name__ == "__main__":
    main()
