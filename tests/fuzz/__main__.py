"""Fuzz the programs: python -m tests.fuzz --minutes 60 --seed 1.

Every input runs in a fork of this process. A fault is a traceback, a hang of ten seconds, a crash,
a status without a message, or a part of a sound that is taken for all of it in silence. The inputs
of faults are written to a folder, one JSON file each: `--replay FILE` runs one again and shows what
it prints. The exit status is 1 if there were faults.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.attempts import Ended, attempt
from tests.fuzz.fuzz_recipes import recipe_targets
from tests.fuzz.fuzz_sounds import sound_target
from tests.fuzz.fuzz_texts import text_target
from tests.fuzz.targets import Target

Fault = tuple[str, str, str]
"""Target, what is wrong, and where in the project."""


@dataclass
class Tally:
    """What became of the inputs of one target."""

    tried: int = 0
    accepted: int = 0
    refused: int = 0
    long: int = 0
    slowest_s: float = 0.0


@dataclass
class Findings:
    """Faults, alike ones together."""

    folder: Path
    keys: dict[Fault, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    example: dict[Fault, Path] = field(default_factory=dict)

    def add(self, target: Target, given: Any, ended: Ended) -> None:
        fault = target.name, ended.fault, ended.frame
        self.keys[fault][target.key(given)] += 1
        if fault in self.example:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{len(self.example) + 1:03}.json"
        said = {"fault": fault, "text": ended.text[-4000:]}
        record = {"target": target.name, "input": given, **said}
        path.write_text(json.dumps(record, indent=1), encoding="utf-8")
        self.example[fault] = path

    def lines(self) -> list[str]:
        ordered = sorted(self.keys.items(), key=lambda item: -item[1].total())
        return [
            f"{keys.total():5} {' | '.join(fault)} | {self.example[fault]} | "
            + ", ".join(f"{key!r}" for key, _ in keys.most_common(8))
            for fault, keys in ordered
        ]


def run_one(target: Target, given: Any, scratch: Path) -> Ended:
    """One input, in a new folder below which all that it names lies."""
    folder = Path(tempfile.mkdtemp(dir=scratch)) / "outer" / "inner"
    folder.mkdir(parents=True)
    try:
        target.prepare(given, folder)
        return attempt(lambda: target.work(given), folder)
    finally:
        shutil.rmtree(folder.parents[1], ignore_errors=True)


def fuzz(
    target: Target, examples: int, number: int, scratch: Path, tally: Tally, findings: Findings,
    end: float,
) -> None:  # fmt: skip
    """Try some inputs of a target."""

    # No shrinking: an input is a few words or bytes already.
    @seed(number)
    @settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(target.inputs)
    def each(given: Any) -> None:
        if time.monotonic() > end:
            return
        ended = run_one(target, given, scratch)
        tally.tried += 1
        if ended.fault == "hang" and target.is_long(given):
            tally.long += 1
            return
        tally.slowest_s = max(tally.slowest_s, ended.seconds)
        if ended.fault:
            findings.add(target, given, ended)
        elif ended.status:
            tally.refused += 1
        else:
            tally.accepted += 1

    each()


def table(tallies: dict[str, Tally]) -> list[str]:
    head = ("target", "inputs", "refused", "accepted", "faults", "long work", "slowest in s")
    rows = [
        (name, t.tried, t.refused, t.accepted, t.tried - t.refused - t.accepted - t.long, t.long,
         f"{t.slowest_s:.1f}")
        for name, t in tallies.items()
    ]  # fmt: skip
    texts = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(head))]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in texts]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--examples", type=int, help="of each target, instead of --minutes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--targets", nargs="+", metavar="NAME", help="default: all")
    parser.add_argument("--out", type=Path, default=Path("fuzz_findings"), metavar="FOLDER")
    parser.add_argument("--replay", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="fuzz_") as scratch:
        template = Path(scratch) / "template"
        targets = recipe_targets(template)
        targets += [sound_target(Path(scratch) / "sounds"), text_target(template)]
        if options.replay:
            return _replay(targets, options.replay, Path(scratch))
        if options.targets:
            targets = [target for target in targets if target.name in options.targets]
        return _fuzz_all(targets, options, Path(scratch))


def _fuzz_all(targets: list[Target], options: argparse.Namespace, scratch: Path) -> int:
    tallies = {target.name: Tally() for target in targets}
    findings = Findings(options.out)
    end = time.monotonic() + (60 * options.minutes if options.examples is None else 1e9)
    number = options.seed
    try:
        while time.monotonic() < end:
            for target in targets:
                examples = options.examples or 5
                fuzz(target, examples, number, scratch, tallies[target.name], findings, end)
            number += 1
            if options.examples is not None:
                break
    except KeyboardInterrupt:
        print("interrupted; so far:")
    print("\n".join([*table(tallies), "", *findings.lines()]))
    return 1 if findings.keys else 0


def _replay(targets: list[Target], path: Path, scratch: Path) -> int:
    record = json.loads(path.read_text(encoding="utf-8"))
    target = next(target for target in targets if target.name == record["target"])
    ended = run_one(target, record["input"], scratch)
    print(ended.text, end="")
    print(f"status {ended.status}, {ended.seconds:.1f} s, fault: {ended.fault or 'none'}")
    return 1 if ended.fault else 0


if __name__ == "__main__":
    sys.exit(main())
