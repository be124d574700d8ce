"""Write the properties of all separators: `python -m benchmarks.separators`.

The command writes the section `separators` of cmss/separators/models.json, from which `cmss models`
lists all separators. The command collects the properties from the records of the networks (`RECORD`
in the files of cmss/models) and from cmss/separators/catalogue.py. To find the look-ahead and the
number of parameters of a network, the command builds the network. Then the command writes tables
into docs/separators.md, docs/results.md, cmss/weights/PROVENANCE.md and README.md, or into the
given FILES. Two comment lines in the file mark the place of each table.

With --time, the command also writes the section `timed`: the measured CPU seconds that each
separator needs on one core for one minute of a quartet. `python -m benchmarks.systems --record`
writes the section `measured`, which contains the scores of all systems.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import ROOT
from benchmarks.marked_text import replace_marked
from benchmarks.quartet import RATE_HZ, quartet
from cmss.command_line import exit_status
from cmss.errors import InputError
from cmss.files.atomic import write_text
from cmss.files.text import read_text
from cmss.machine.processor import processor
from cmss.models import registry
from cmss.models.record import DATA_SETS, NetworkRecord, Size
from cmss.run.configuration import default_separator
from cmss.separators import build_separator
from cmss.separators.catalogue import BOUNDS, FAMILIES
from cmss.separators.steps.postfilter import TRAINED_ON
from cmss.separators.trained import LOOK_AHEAD_S

FILE = ROOT / "cmss" / "separators" / "models.json"
TEST_SETS = {"rendered": "recorded notes", "soundfont": "SoundFont", "demo": "demo"}
"""Sections of docs/results.md, and their names in tables."""
TEMPLATES_FROM = ("SCORES", "NOTES")
"""Data from which the templates of the factorisations were learned."""
PAGES = ("docs/separators.md", "docs/results.md", "cmss/weights/PROVENANCE.md", "README.md")


def network_table() -> str:
    """Build a table with a row for each network."""
    heads = (
        "`separator=`", "method", "sizes, with their numbers of parameters", "look-ahead",
        "two players of the same instrument",
        "weights in the package, and the data of their training",
    )  # fmt: skip
    return _markdown(
        [heads, *(_network_row(name, registry.networks_of(name)) for name in registry.names())]
    )


def _network_row(name: str, records: Sequence[NetworkRecord]) -> list[str]:
    """Return the cells of a network in the table of networks.

    Different classes may implement different sizes of a network. In this case, the network has a
    record for each class.
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
    licences = [(r.licence.upper(), ", ".join(r.data)) for r in records if r.licence]
    return [
        f"`{name}`",
        "; ".join(methods),
        ", ".join(sizes),
        ", ".join(["entire mixture", *different]),
        "one estimate each" if own else "half of their common estimate each",
        ", ".join(f"`small`, licence {licence}; {data}" for licence, data in licences) or "none",
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
        names = [*registry.names(), *entries] if family == "networks" else list(entries)
        rows.append([family, _names(names)])
    return _markdown(rows)


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    """Build a table whose first row contains the column headings."""
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |") for line in lines)


def data_table() -> str:
    """Build a table with a row for each data set on which weights were trained."""
    rows = [["name", "content", "licence"]]
    return _markdown([*rows, *([name, *about] for name, about in DATA_SETS.items())])


def summary_table(content: Mapping[str, Any]) -> str:
    """Build a table with a row for each system (best system first) and a column for each test set.

    Args:
        content: content of models.json.
    """
    measured = content["measured"]
    systems = dict.fromkeys(name for test_set in TEST_SETS for name in measured[test_set])

    def gap(system: str, test_set: str) -> float:
        row = measured[test_set].get(system, {}).get("consistent")
        return row["gap_closed"] if row else -9.0

    def order(system: str) -> tuple[bool, list[float]]:
        return system != "passthrough", [gap(system, test_set) for test_set in TEST_SETS]

    rows = [["system", *TEST_SETS.values()], ["---", *(["---:"] * len(TEST_SETS))]]
    for system in sorted(systems, key=order, reverse=True):
        cells = [
            f"{row['gap_closed']:z.2f} ({row['average']:.4f})" if row else ""
            for row in (measured[key].get(system, {}).get("consistent") for key in TEST_SETS)
        ]
        rows.append([f"{system} (default)" if system == "meta" else system, *cells])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def properties() -> dict[str, dict[str, Any]]:
    """Return the properties of all separators, by name; the default comes first."""
    found: dict[str, dict[str, Any]] = {}
    for name in registry.names():
        records = registry.networks_of(name)
        measured = {
            size_name: (network, *_measure(network, size))
            for network in records
            for size_name, size in network.sizes.items()
        }
        bounded = [
            size for size, (network, _, text) in measured.items()
            if text != "entire mixture" and float(text.split()[0]) <= 1e3 * LOOK_AHEAD_S
        ]  # fmt: skip
        trained = [record for record in records if record.licence]
        found[name] = {
            "family": "networks",
            "method": records[0].summary,
            "sizes": {size: parameters for size, (_, parameters, _) in measured.items()},
            "causal": bool(bounded),
            "causal_sizes": bounded,
            "licence": trained[0].licence if trained else None,
            "data": list(trained[0].data) if trained else [],
        }
    for family, entries in FAMILIES.items():
        for name, entry in entries.items():
            found[name] = {"family": family, "method": entry.method, "causal": name in BOUNDS}
            if family not in ("networks", "references"):  # they use the templates of nmf
                found[name] |= {"licence": "mit", "data": list(TEMPLATES_FROM)}
    members = [found[member["name"]] for member in default_separator()["members"]]
    data = {name for member in members for name in member["data"]} | {*TRAINED_ON}
    default = {
        "family": "combination of several, the default",
        "method": "log-opinion pool of "
        + ", ".join(member["name"] for member in default_separator()["members"])
        + "; then directions of arrival and two post-filters",
        "licence": "mit",
        "data": [name for name in DATA_SETS if name in data],
    }
    return {"ensemble": default, **found}


def timed(seconds: float) -> dict[str, Any]:
    """Measure the CPU seconds that each separator needs on one core for one minute of a quartet.

    Args:
        seconds: duration of the quartet.
    """
    torch.set_num_threads(1)
    mixture, sources = quartet(seconds, 4)
    found = {}
    for name in properties():
        settings = default_separator() if name == "ensemble" else {"name": name}
        if name in ("oracle", "module"):
            continue  # one reads the true stems, the other needs a checkpoint
        if name in (*registry.names(), "ensemble"):
            settings["device"] = "cpu"
        try:
            separator = build_separator(settings, RATE_HZ)
        except InputError:
            continue  # without weights in the package
        separator.prepare(sources.values())
        before = time.process_time()
        separator.separate(mixture, sources)
        found[name] = round((time.process_time() - before) * 60 / seconds, 1)
        print(f"{name}: {found[name]} s", file=sys.stderr)
    return {"processor": processor(), "cpu_s_per_minute": found}


def update(section: str, value: Any) -> dict[str, Any]:
    """Replace a section of models.json; return the content of the file."""
    content = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    content = {"separators": {}, "measured": {}, "timed": {}} | content | {section: value}
    write_text(FILE, json.dumps(content, indent=1) + "\n")
    return content


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status.

    The exit status is 2 if a file does not contain the comment lines that mark a table.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.separators", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("files", type=Path, nargs="*", metavar="FILE",
        default=[ROOT / page for page in PAGES],
        help=f"default: {', '.join(PAGES)}")  # fmt: skip
    parser.add_argument("--time", type=float, metavar="SECONDS",
        help="also measure computing times with a quartet of this duration")  # fmt: skip
    options = parser.parse_args(arguments)

    def work() -> None:
        if options.time:
            update("timed", timed(options.time))
        content = update("separators", properties())
        tables = {
            "networks": network_table,
            "others": other_table,
            "families": family_table,
            "data": data_table,
            "summary": lambda: summary_table(content),
        }
        for file in options.files:
            text = read_text(file)
            found = [name for name in tables if f"<!-- benchmarks.separators {name}:" in text]
            if not found:
                raise InputError(
                    f"{file}: expected the lines <!-- benchmarks.separators NAME: begin --> and "
                    "<!-- benchmarks.separators NAME: end -->, where NAME is one of "
                    + ", ".join(tables)
                )
            for name in found:
                replace_marked(file, f"benchmarks.separators {name}", tables[name]())

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
