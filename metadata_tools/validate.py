"""Check a data folder and list its contents.

    python -m metadata_tools.validate DATA

The command checks every split that has a file music.<split>.json. The command reads all metadata
and sound files of the split. The command checks the loudness of the mixtures, whether each mixture
is the sum of its stems, and whether two splits share works, files or sounds. Errors give the exit
status 2; unusual data only cause a warning.
"""

import hashlib
import math
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cmss.audio import SHORTEST_LOUDNESS_S, loudness_lufs, read_excerpt
from cmss.command_line import exit_status
from cmss.errors import InputError, noting
from cmss.scenes import (
    INSTRUMENTS,
    MetadataPaths,
    Pair,
    Track,
    load_pairs,
    load_tracks,
    unusual_hearing,
)
from cmss.scenes.files import MetadataFile
from metadata_tools.challenge.writer import MIXTURE_LUFS, SAMPLE_RATE_HZ
from metadata_tools.inputs.options import command_parser, to_path

_MOST_LINES = 40


@dataclass
class Split:
    """Holds the contents of a split."""

    name: str
    tracks: list[Track] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    datasets: Counter[str] = field(default_factory=Counter)


@dataclass
class Report:
    """Holds the results of the checks, with a line for each problem and each warning."""

    splits: list[Split] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return the lines of a table of the splits and of a table of their instruments."""
        rows = [["split", "tracks", "minutes", "scenes", "pairs", "listeners", "from"]]
        for split in self.splits:
            minutes = sum(track.mixture.duration_s for track in split.tracks) / 60
            rows.append(
                [
                    split.name,
                    str(len(split.tracks)),
                    f"{minutes:.1f}",
                    str(len({pair.scene.id for pair in split.pairs})),
                    str(len(split.pairs)),
                    str(len({pair.listener.id for pair in split.pairs})),
                    ", ".join(sorted(split.datasets)) or "?",
                ]
            )
        counts = [_instruments(split.tracks) for split in self.splits]
        stems = [["stems of", *(split.name for split in self.splits)]]
        stems += [[name, *(str(count[name]) for count in counts)] for name in INSTRUMENTS]
        return [*_table(rows), "", *_table(stems)]


def validate(root: Path, decode: bool = True) -> Report:
    """Check a data folder.

    Args:
        root: the data folder, which contains the folders audio and metadata.
        decode: True to check all samples of the sound files, False to check only their headers and
            last samples.

    Raises:
        InputError: the folder has no metadata.
    """
    files = sorted((root / "metadata").glob("music.*.json"))
    names = [file.name.removeprefix("music.").removesuffix(".json") for file in files]
    names = [name for name in names if "." not in name]
    if not names:
        raise InputError(f"{root / 'metadata'}: no music.<split>.json, expected a data folder")
    report = Report()
    for name in names:
        split = _read(root, name, report)
        report.splits.append(split)
        for dataset in ("BACH10", "URMP"):
            if split.datasets[dataset] and name in ("train", "valid"):
                report.problems.append(
                    f"music.{name}.json: {split.datasets[dataset]} sources are from {dataset}, "
                    "which is the challenge's evaluation set and must not be used for training"
                )
    sounds = _sounds(report) if decode else {}
    report.problems += _leaks(report.splits, sounds)
    report.problems = list(dict.fromkeys(report.problems))
    return report


def _read(root: Path, name: str, report: Report) -> Split:
    """Read the metadata of a split and the headers of its sound files."""
    paths = MetadataPaths.of(root, name)
    split = Split(name)
    with noting(report.problems):
        split.tracks = load_tracks(paths.music_file, paths.music_dir, SAMPLE_RATE_HZ)
    if paths.scenes_file.exists() or paths.scene_listeners_file.exists():
        with noting(report.problems):
            split.pairs = load_pairs(paths, SAMPLE_RATE_HZ)
    else:
        report.warnings.append(f"scenes.{name}.json: missing, so there is nothing to enhance")
    report.warnings += unusual_hearing(
        {pair.listener.id: pair.listener for pair in split.pairs}.values()
    )
    for pair in split.pairs:
        expected = {"eval": "test"}.get(name, name)
        if pair.scene.split != expected:
            report.problems.append(
                f"scenes.{name}.json: {pair.scene.id} has an id of the split {pair.scene.split}"
            )
    for track in MetadataFile(paths.music_file, "music_file", []).entries.values():
        for part, entry in track.items() if isinstance(track, dict) else ():
            if part.startswith("source_") and isinstance(entry, dict):
                split.datasets[str(entry.get("source_dataset", "?"))] += 1
    return split


def _sounds(report: Report) -> dict[str, dict[str, str]]:
    """Decode all files, and find the digest of the samples of each stem.

    Returns:
        Dict from the split to a dict from the digest of a stem's samples to the name of the stem.
    """
    sounds: dict[str, dict[str, str]] = {}
    tracks = [(split, track) for split in report.splits for track in split.tracks]
    for split, track in tqdm(tracks, desc="decoding", unit="track", disable=None):
        with noting(report.problems):
            digests = _check_sounds(split.name, track, report.warnings)
            sounds.setdefault(split.name, {}).update(
                {digest: f"{track.name}.{source}" for source, digest in digests.items()}
            )
    return sounds


def _check_sounds(split: str, track: Track, warnings: list[str]) -> dict[str, str]:
    """Check the loudness of a mixture and the sum of its stems; return the stems' digests."""
    mixture = read_excerpt(track.mixture, SAMPLE_RATE_HZ).astype(np.float64)
    rest, digests = mixture.copy(), {}
    for source in track.sources.values():
        stem = read_excerpt(source.excerpt, SAMPLE_RATE_HZ)
        rest -= stem
        if stem.any():
            digests[source.id] = hashlib.sha256(stem.tobytes()).hexdigest()
    where = f"{split}: {track.name}"
    power = float(np.mean(mixture**2))
    if power == 0:
        warnings.append(f"{where}: the mixture is silent")
        return digests
    residual_db = 10 * math.log10(max(float(np.mean(rest**2)) / power, 1e-12))
    # The error of rounding to 16 bits is far below -40 dB.
    if residual_db > -40:
        warnings.append(
            f"{where}: the mixture is not the sum of its stems, the difference has "
            f"{residual_db:.0f} dB relative to the mixture"
        )
    if mixture.shape[1] >= SHORTEST_LOUDNESS_S * SAMPLE_RATE_HZ:
        lufs = loudness_lufs(mixture, SAMPLE_RATE_HZ)
        if abs(lufs - MIXTURE_LUFS) > 3:
            warnings.append(
                f"{where}: the mixture has {lufs:.1f} LUFS, the compressor expects {MIXTURE_LUFS:g}"
            )
    return digests


def _leaks(splits: Sequence[Split], sounds: dict[str, dict[str, str]]) -> list[str]:
    """Return a line for each work, file or sound that two splits share."""
    problems = []
    # The name of the work is the name of the excerpt without the number at its end.
    works = {x.name: {re.sub(r"_\d+$", "", track.name) for track in x.tracks} for x in splits}
    for first, second in combinations(splits, 2):
        pair = f"{first.name} and {second.name}"
        shared = works[first.name] & works[second.name]
        problems += [f"{pair} share the work {work!r}" for work in sorted(shared)]
        files = _files(first.tracks) & _files(second.tracks)
        problems += [f"{pair} share the file {file}" for file in sorted(files)]
        here, there = sounds.get(first.name, {}), sounds.get(second.name, {})
        problems += [
            f"{pair} share a sound: {here[digest]} is {there[digest]}"
            for digest in here
            if digest in there
        ]
    return problems


def _files(tracks: Iterable[Track]) -> set[Path]:
    return {source.excerpt.path.resolve() for track in tracks for source in track.sources.values()}


def _instruments(tracks: Iterable[Track]) -> Counter[str]:
    return Counter(source.instrument for track in tracks for source in track.sources.values())


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table, with numbers aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if cell.replace(".", "").isdigit() else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status, which is 2 if the data have problems."""
    parser = command_parser("validate", __doc__, "validate")
    parser.add_argument("root", type=to_path, metavar="DATA",
        help="data folder, which contains the folders audio and metadata")  # fmt: skip
    parser.add_argument("--quick", action="store_true",
        help="check only the headers of the sound files")  # fmt: skip
    options = parser.parse_args(arguments)

    def work() -> None:
        report = validate(options.root, not options.quick)
        print("\n".join(report.lines()))
        for warning in _first(report.warnings):
            print(f"validate: warning: {warning}", file=sys.stderr)
        if report.problems:
            raise InputError(_first(report.problems))

    return exit_status(work, "validate")


def _first(lines: Sequence[str]) -> list[str]:
    """Return the first messages, and a message with the number of further messages."""
    more = [f"and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else []
    return [*lines[:_MOST_LINES], *more]


if __name__ == "__main__":
    sys.exit(main())
