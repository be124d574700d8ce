"""Systems side by side on one data set, as a Markdown table.

    python -m benchmarks.systems exp/passthrough exp/default exp/oracle [--into README.md]

Each folder is a run of enhance.py, scored by evaluate.py and, where it had several jobs, joined by
merge_results.py. All runs must have scored the same pairs. Where runs of passthrough and oracle are
among them, the last column is the share of the distance between the two that a system has come: 0
is what doing nothing scores, 1 is what no separation can beat. Where `benchmarks.separation` has
measured one of them, a column gives the median SDR of its stems in dB.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmss.atomic import write_text
from cmss.configuration import kept_configuration
from cmss.errors import InputError
from cmss.results import EARS, ScoreRow, shard_path
from cmss.results.separation import median_sdr, read_separation
from cmss.row_file import read_rows

BEGIN = "<!-- benchmarks.systems: begin -->"
END = "<!-- benchmarks.systems: end -->"


@dataclass(frozen=True)
class Run:
    """A scored run: its choices, and the mean HAAQI of left ear, right ear and both.

    `sdr` is the median SDR of its stems in dB, None where it has not been measured.
    """

    separator: str
    remix: str
    pairs: frozenset[tuple[str, str]]
    means: tuple[float, float, float]
    sdr: float | None = None

    @property
    def average(self) -> float:
        """Mean HAAQI of both ears."""
        return self.means[-1]


def read_run(folder: Path) -> Run:
    """Read the scores and the configuration of a run.

    Raises:
        InputError: either is missing or damaged, or no pair has been scored.
    """
    config = kept_configuration(folder)
    rows = read_rows(shard_path(folder, "scores"), ScoreRow)
    if not rows:
        raise InputError(f"{shard_path(folder, 'scores')}: no scores")
    separation = read_separation(folder)
    left, right, average = (float(np.mean([getattr(row, ear) for row in rows])) for ear in EARS)
    return Run(
        config.separator.name,
        config.remix.name,
        frozenset(row.key for row in rows),
        (left, right, average),
        median_sdr(separation) if separation else None,
    )


def markdown_table(runs: Sequence[Run]) -> str:
    """The table of some runs of the same pairs, in the order given."""
    ends = {run.separator: run.average for run in runs}
    both = "passthrough" in ends and "oracle" in ends
    measured = any(run.sdr is not None for run in runs)
    head = ["separator", "remix", "left", "right", "average"]
    lines = [head + ["of the distance"] * both + ["SDR in dB"] * measured]
    lines.append(["---"] * 2 + ["---:"] * (len(lines[0]) - 2))
    for run in runs:
        # A mixture that was not taken apart is not remixed either.
        remix = "" if run.separator == "passthrough" else run.remix
        cells = [run.separator, remix, *(f"{mean:.4f}" for mean in run.means)]
        if both:
            low, high = ends["passthrough"], ends["oracle"]
            cells.append(f"{(run.average - low) / (high - low):z.2f}")
        if measured:
            cells.append("" if run.sdr is None else f"{run.sdr:.1f}")
        lines.append(cells)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def put_into(path: Path, table: str) -> None:
    """Replace what stands between the two marks of a file by a table.

    Raises:
        InputError: the file has not each mark once, in their order.
    """
    text = path.read_text(encoding="utf-8")
    before, *rest = text.split(BEGIN)
    if len(rest) != 1 or rest[0].count(END) != 1:
        raise InputError(f"{path}: expected {BEGIN} and {END}, once each")
    write_text(path, f"{before}{BEGIN}\n\n{table}\n{END}{rest[0].split(END)[1]}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.systems",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="EXP_FOLDER")
    parser.add_argument("--into", type=Path, metavar="FILE",
        help="put the table between its marks in this file, too")  # fmt: skip
    options = parser.parse_args(arguments)
    try:
        runs = [read_run(folder) for folder in options.folders]
        for run, folder in zip(runs, options.folders, strict=True):
            if run.pairs != runs[0].pairs:
                raise InputError(f"{folder}: scored other pairs than {options.folders[0]}")
        table = markdown_table(runs)
        if options.into:
            put_into(options.into, table)
    except (InputError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{len(runs[0].pairs)} pairs of scene and listener, mean HAAQI:\n\n{table}", end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
