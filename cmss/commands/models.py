"""List all separators with their properties: `cmss models`.

    cmss models [--json]

The numbers were measured with the weights in the package and the remix `consistent`:

- parameters: number of learned parameters, or number of values in templates;
- causal: "yes" if the look-ahead is 5 ms or less; "trained" if the package has no causal weights,
  but you can train them; otherwise "no";
- gap: gap closed, (H - H_mixture) / (H_true - H_mixture), for recorded notes that are unseen in
  training. H is the mean HAAQI of the separator, H_mixture the mean HAAQI of the unprocessed
  mixture, and H_true the mean HAAQI of the ground truth stems;
- gap demo: gap closed for the demo data set;
- SDR, SDR demo: median of the SDR over the sources in dB, for the recorded notes and for the demo;
- s/min: CPU seconds on one core for one minute of a quartet;
- licence: licence of the weights;
- data: data sets of the training; cmss/weights/PROVENANCE.md explains their names.

A dash means that the package has no weights for the separator, or that there is no measurement.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from cmss.command_line import exit_status
from cmss.separators.listing import Properties, listing

SHOWN_SETS = ("rendered", "demo")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status, which is 2 if installed packages conflict."""
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
    """Format the table; each column has the width of its longest cell."""
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
