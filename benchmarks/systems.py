"""Compare all systems of the project on a data set.

    python -m benchmarks.systems DATA [--split test] [--out exp/table] [--systems NAME...]

This command enhances and scores the data set with each system, and prints Markdown tables. The
first table has the scores, the separation quality and the computing time of each system. The second
table has the scores for string, wind and mixed ensembles. The third table compares the system that
is named by --against with each of the other systems. DATA is a data folder in the challenge's
layout, for example from metadata_tools.render. The folder of each run is written to OUT. A second
call of the command computes only results that are missing or were produced with different inputs or
settings. If a system has no weights, its row of the tables is marked as untrained, and the exit
status is 1.

    python -m benchmarks.systems EXP_FOLDER EXP_FOLDER...

This command compares runs that evaluate.py has already scored. Runs of several jobs must have been
merged by merge_results.py. All runs must have scored the same pairs of scene and listener.

If passthrough and oracle are among the systems, the column `gap closed` shows the fraction of the
gap that each system closes. The value 0 corresponds to the score of the unprocessed mixture, and
the value 1 corresponds to the score of the ground truth stems.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.marked_text import replace_marked, split_at_marks
from benchmarks.scored_runs import (
    ENSEMBLES,
    UNTRAINED,
    Run,
    check_same_pairs,
    difference_table,
    ensemble_table,
    figures,
    read_run,
    score_table,
    system_table,
)
from benchmarks.separators import TEST_SETS, update
from benchmarks.system_runs import SYSTEMS, DataSet
from cmss.command_line import one_line
from cmss.errors import InputError, one_of
from cmss.files.output_file import check_output_file
from cmss.run.folder import CONFIGURATION
from cmss.scenes import Pair
from cmss.separators.listing import stored


def sections(runs: Sequence[Run], pairs: Sequence[Pair], against: str) -> str:
    """Build all Markdown tables of the runs on a data set."""
    scored = [run for run in runs if run.scores]
    tracks = {pair.scene.track.name for pair in pairs}
    processors = dict.fromkeys(run.processor for run in runs if run.processor)
    kinds = Counter(pair.scene.track.ensemble for pair in pairs)
    counts = ", ".join(f"{count} for {ENSEMBLES[kind]}" for kind, count in kinds.items())
    parts = [
        f"This table gives the results for {len(pairs)} pairs of scene and listener "
        f"from {len(tracks)} tracks:\n",
        system_table(runs),
        f"This table gives the mean HAAQI by type of ensemble (number of pairs: {counts}):\n",
        ensemble_table(scored, pairs),
    ]
    if processors:
        parts.insert(
            2,
            "The column *s per min* gives the time, in seconds, that the separation of one minute "
            f"of music takes. Processor: {'; '.join(processors)}.\n",
        )
    chosen = next((run for run in scored if run.name == against), None)
    others = [run for run in scored if run is not chosen and run.name != "oracle"]
    if chosen and others:
        parts += [
            f"Each difference is the mean score of `{against}` with `remix={chosen.remix}`, minus "
            "the mean score of the system in the row:\n",
            difference_table(chosen, others, pairs),
        ]
    return "\n".join(parts)


def run_all(data: DataSet, names: Sequence[str]) -> tuple[list[Run], list[Pair]]:
    """Run systems on a data set, and return the runs and the pairs of the data set.

    Raises:
        InputError: the data set has problems.
    """
    pairs = data.pairs()
    refusals = {name: data.refusal(SYSTEMS[name], pairs) for name in names}
    for problem in dict.fromkeys(line for lines in refusals.values() for line in lines):
        print(one_line(problem), file=sys.stderr)
    runs: list[Run] = []
    for name in names:
        runs += [Run(name, state=UNTRAINED)] if refusals[name] else data.runs(name)
    return runs, pairs


def read_all(folders: Sequence[Path]) -> list[Run]:
    """Read existing runs.

    Raises:
        InputError: a folder does not contain a scored run, or the runs have scored different pairs.
    """
    for folder in folders:
        if not (folder / CONFIGURATION).is_file():
            raise InputError(
                f"{folder}: expected one data set (it has metadata/) or folders of runs (each has "
                f"{CONFIGURATION})"
            )
    runs = [read_run(folder) for folder in folders]
    check_same_pairs(runs, folders)
    return runs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status; the status is 1 if a system has no result."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.systems",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER",
        help="data folder, or folders of scored runs")  # fmt: skip
    parser.add_argument("--split", default="test", help="split of the data set; default: test")
    parser.add_argument("--out", type=Path, default=Path("exp/table"),
        help="folder for the runs; default: exp/table")  # fmt: skip
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS),
        metavar="NAME", help=f"systems to run, of {', '.join(SYSTEMS)}; default: all")  # fmt: skip
    parser.add_argument("--no-official", action="store_false", dest="official",
        help="do not run the systems with the remix of the official baseline")  # fmt: skip
    parser.add_argument("--against", default="meta", metavar="NAME", choices=SYSTEMS,
        help="system to compare with the other systems; default: meta")  # fmt: skip
    parser.add_argument("--into", type=Path, metavar="FILE",
        help="file in which the tables are also written between marks")  # fmt: skip
    parser.add_argument("--name", default="", help="name of the marks, if the file has several")
    parser.add_argument("--record", action="store_true",
        help="also record the numbers under --name in cmss/separators/models.json")  # fmt: skip
    options = parser.parse_args(arguments)
    first = options.folders[0]
    mark = " ".join(("benchmarks.systems", *options.name.split()))
    try:
        if options.record and options.name not in TEST_SETS:
            raise InputError(f"--name: {options.name!r}, {one_of(TEST_SETS, options.name)}")
        if options.into:
            # Check the file before the systems run, because they run for hours.
            check_output_file(options.into, "--into")
            split_at_marks(options.into, mark)
        if options.out.exists() and not options.out.is_dir():
            raise InputError(f"--out {options.out}: is a file, expected a folder")
        if len(options.folders) == 1 and (first / "metadata").is_dir():
            names = [name for name in SYSTEMS if name in options.systems]
            runs, pairs = run_all(
                DataSet(first, options.split, options.out, options.official), names
            )
            text = sections(runs, pairs, options.against)
            if options.record:
                measured = stored()["measured"] | {options.name: figures(runs)}
                update("measured", measured)
        else:
            runs = read_all(options.folders)
            text = score_table(runs)
            print(f"{len(runs[0].scores)} pairs of scene and listener, mean HAAQI:\n")
        if options.into:
            replace_marked(options.into, mark, text)
    except (InputError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(text, end="")
    without = [f"{run.name} {run.remix}".strip() + f": {run.state}" for run in runs if run.state]
    print(*without, sep="\n", end="\n" * bool(without), file=sys.stderr)
    return int(bool(without))


if __name__ == "__main__":
    sys.exit(main())
