"""Write the tables of all separators in the documentation: `python -m benchmarks.separators`.

The command writes the tables between marks in docs/separators.md and README.md, or in other files
that the command line names. The contents of the tables are from the records of the networks
(`RECORD` in the files of cmss/models) and from cmss/separators/catalogue.py. The command builds
each network to find the look-ahead and the number of parameters of the network.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from benchmarks import ROOT
from benchmarks.marked_text import replace_marked
from cmss.command_line import exit_status
from cmss.errors import InputError
from cmss.files.text import read_text
from cmss.models.record import NetworkRecord, Size
from cmss.models.registry import NAMES, networks_of
from cmss.separators.catalogue import FAMILIES


def network_table() -> str:
    """Build a table with a row for each network."""
    heads = (
        "`separator=`", "method", "sizes, with their numbers of parameters", "look-ahead",
        "two players of an instrument", "weights in the package",
    )  # fmt: skip
    return _markdown([heads, *(_network_row(name, networks_of(name)) for name in NAMES)])


def _network_row(name: str, records: Sequence[NetworkRecord]) -> list[str]:
    """Return the cells of a network in the table of networks.

    A network has several records if its sizes have different classes.
    """
    # The first record describes the network in general; the other records describe their sizes.
    methods = [records[0].summary]
    methods += [f"{_names(record.sizes)}: {record.summary}" for record in records[1:]]
    sizes, ahead = [], {}
    for record in records:
        for size_name, size in record.sizes.items():
            parameters, ahead[size_name] = _measure(record, size)
            sizes.append(f"`{size_name}` {parameters / 1e6:.1f} M")
    different = [f"`{size}` {text}" for size, text in ahead.items() if text != "entire mixture"]
    own = any(record.voices == "own" for record in records)
    licences = [record.licence.upper() for record in records if record.licence]
    return [
        f"`{name}`",
        "; ".join(methods),
        ", ".join(sizes),
        ", ".join(["entire mixture", *different]),
        "one estimate each" if own else "half of their common estimate each",
        ", ".join(f"`small`, licence {licence}" for licence in licences) or "none",
    ]


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _measure(record: NetworkRecord, size: Size) -> tuple[int, str]:
    """Return the number of parameters and the look-ahead of a network."""
    # The meta device stores no weights, so networks of any size are built instantly.
    with torch.device("meta"):
        network = record.network(record.arguments(**size.arguments))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    if network.reach is None:
        return parameters, "entire mixture"
    return parameters, f"{1e3 * network.reach.future / network.sample_rate_hz:.1f} ms"


def other_table() -> str:
    """Build a table with a row for each separator that is not a network."""
    rows = [["`separator=`", "method", "weights"]]
    for family in FAMILIES.values():
        rows += [[f"`{name}`", entry.method, entry.weights] for name, entry in family.items()]
    return _markdown(rows)


def family_table() -> str:
    """Build a table with a row for each family of separators."""
    rows = [["family", "`separator=`"], ["combination of several, the default", "`ensemble`"]]
    for family, entries in FAMILIES.items():
        names = [*NAMES, *entries] if family == "networks" else list(entries)
        rows.append([family, _names(names)])
    return _markdown(rows)


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    """Build a table whose first row contains the column headings."""
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |") for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status, which is 2 if a file has no marks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.separators", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("files", type=Path, nargs="*", metavar="FILE",
        default=[ROOT / "docs" / "separators.md", ROOT / "README.md"],
        help="files to update; default: docs/separators.md and README.md")  # fmt: skip
    options = parser.parse_args(arguments)

    def work() -> None:
        tables = {"networks": network_table, "others": other_table, "families": family_table}
        for file in options.files:
            text = read_text(file)
            found = [name for name in tables if f"<!-- benchmarks.separators {name}:" in text]
            if not found:
                raise InputError(
                    f"{file}: expected <!-- benchmarks.separators NAME: begin --> and the same "
                    f"with end, NAME one of {', '.join(tables)}"
                )
            for name in found:
                replace_marked(file, f"benchmarks.separators {name}", tables[name]())

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
