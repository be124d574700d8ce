"""List all separators with their properties, `cmss models`.

    cmss models [--json]

The figures are those of the weights in the package, with the consistent remix:

- parameters: number of learned parameters, or of values in templates;
- causal: whether the separator can look ahead by at most 5 ms; "trained" requires causal weights;
- gap: gap closed, the position of the mean HAAQI between the mixture (0) and the ground truth stems
  (1), on recorded notes that are unseen in training, and on the demo;
- SDR: median over the sources in dB, on the same two test sets;
- s/min: CPU seconds on one core to separate a minute of a quartet;
- licence and data of the weights; cmss/weights/PROVENANCE.md explains the names of the data sets.

A dash means that there is no weight in the package, or that the figure was not measured.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from cmss.command_line import exit_status
from cmss.separators.listing import Properties, listing

SHOWN_SETS = ("rendered", "demo")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return exit status 2 if installed packages are in conflict."""
    parser = argparse.ArgumentParser(
        prog="cmss models",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print all properties as JSON")
    options = parser.parse_args(arguments)

    def work() -> str:
        found = listing()
        if options.json:
            return json.dumps([asdict(properties) for properties in found], indent=2)
        return _table(found)

    return exit_status(work)


def _table(found: Sequence[Properties]) -> str:
    """Format the table; columns have the width of their longest cell."""
    heads = ("separator", "parameters", "causal", "gap", "gap demo", "SDR", "SDR demo", "s/min",
             "licence", "data")  # fmt: skip
    rows = [heads, *(_row(properties) for properties in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    numbers = range(heads.index("gap"), heads.index("licence"))
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column in (1, *numbers) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _row(found: Properties) -> tuple[str, ...]:
    causal = "trained" if found.causal_sizes else "yes" if found.causal else "no"
    return (
        found.name,
        "-" if found.parameters is None else f"{found.parameters:,}",
        "-" if found.package else causal,
        *(_number(found.gap_closed.get(name), ".2f") for name in SHOWN_SETS),
        *(_number(found.sdr_db.get(name), ".1f") for name in SHOWN_SETS),
        _number(found.seconds_per_minute, ".1f"),
        found.licence or "-",
        ", ".join(found.data) or found.package or "-",
    )


def _number(value: float | None, form: str) -> str:
    if value is None:
        return "-"
    return "> 100" if value > 100 else f"{value:{form}}"
