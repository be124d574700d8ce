"""What is handed in: a folder with every enhanced signal, and the archive of them.

The rules are those of the second Cadenza Challenge, task 2: for each pair of scene and listener
`enhanced_signals/<split>/<scene>_<listener>_remix.flac`, stereo, 32 kHz, 16 bit, zipped as
`submission_<TeamID>_causal.zip` or `_noncausal.zip`, with `_aug`, `_sup` or `_aug_sup` before
`.zip` for extra training data or supplementary systems.
"""

import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from cmss.audio import resampled_length
from cmss.errors import InputError
from cmss.files.atomic import atomic_file, atomic_folder, is_temporary, write_text
from cmss.files.digests import file_sha256, sha256
from cmss.scenes import Pair, SoundFiles

REMIX_SAMPLE_RATE_HZ = 32000
CAUSALITIES = ("causal", "noncausal")
SUPPLEMENTS = ("", "aug", "sup", "aug_sup")
CHECKSUMS = "checksums.sha256"
PROVENANCE = "provenance.json"

ENTRY, END_OF_ARCHIVE = 76, 22
"""Bytes of a ZIP archive beside data and names: of each entry's two headers, and at the end."""

# The earliest time that a ZIP archive can state: an equal archive from equal signals.
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_TEAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
# Another resampler may round a length up where soxr rounds to the nearest.
_LENGTH_TOLERANCE = 1

Progress = Callable[[Sequence[Pair]], Iterable[Pair]]


@dataclass(frozen=True)
class Packing:
    """How a submission is named and cut.

    Args:
        team: the challenge's id of the team.
        causality: "causal" or "noncausal".
        supplement: "", "aug", "sup" or "aug_sup".
        part_mb: largest size of an archive in MB, where one is too large to be handed in; they are
            then called `<name>_part1.zip` and so on, and unpack to one folder.
    """

    team: str
    causality: str
    supplement: str = ""
    part_mb: float | None = None


@dataclass(frozen=True)
class Submission:
    """Where it lies: the folder to keep, and the archives to hand in: one, or its parts."""

    folder: Path
    archives: list[Path]


def check_enhanced(
    exp_folder: Path,
    pairs: Sequence[Pair],
    sounds: SoundFiles,
    progress: Progress = iter,
) -> None:
    """Decode every enhanced signal of a run and see that all are there and as the rules want.

    A length is right within one sample of what resampling the excerpt gives: its samples times
    32000 / 44100, to the nearest. What is decoded from 16 bits is finite.

    Args:
        exp_folder: the run's folder.
        pairs: all that are to be handed in.
        sounds: opens the files, and knows the sampling rate of the mixtures.
        progress: wraps the pairs, for a progress bar.

    Raises:
        InputError: all that is missing, of another format or length, damaged, or not among the
            pairs.
    """
    problems: list[str] = []
    for pair in progress(pairs):
        try:
            problems += _wrong_with(exp_folder / pair.enhanced_file, pair, sounds)
        except InputError as error:
            problems += error.problems
    expected = {exp_folder / pair.enhanced_file for pair in pairs}
    for folder in sorted({path.parent for path in expected}):
        for path in sorted(folder.rglob("*")):
            if path not in expected and not is_temporary(path):
                problems.append(f"{path}: belongs to no pair of scene and listener")
    if problems:
        raise InputError(problems)


def _wrong_with(path: Path, pair: Pair, sounds: SoundFiles) -> list[str]:
    header = sounds.header(path)
    start, stop = pair.scene.track.mixture.span(sounds.sample_rate_hz)
    samples = resampled_length(stop - start, sounds.sample_rate_hz, REMIX_SAMPLE_RATE_HZ)
    problems = [
        f"{path}: {name} {found}, expected {expected}"
        for name, found, expected in (
            ("format", header.format, "FLAC"),
            ("sample format", header.subtype, "PCM_16"),
            ("channels", header.channels, 2),
            ("sampling rate in Hz", header.sample_rate_hz, REMIX_SAMPLE_RATE_HZ),
        )
        if found != expected
    ]
    if abs(header.samples - samples) > _LENGTH_TOLERANCE:
        problems.append(
            f"{path}: {header.samples} samples, expected {samples} for an excerpt of "
            f"{pair.scene.track.mixture.duration_s:g} s"
        )
    sounds.read(path)  # The header says nothing about damage in the middle.
    return problems


def build_submission(
    exp_folder: Path,
    pairs: Sequence[Pair],
    packing: Packing,
    provenance: Path,
    sounds: SoundFiles,
    progress: Progress = iter,
) -> Submission:
    """Check a run's enhanced signals and make of them the submission folder and its archive.

    The folder `submission_<team>_<causality>/` holds the signals (hard links where the file system
    has them), their checksums in the format of `sha256sum --check`, and the provenance. The archive
    beside it holds the signals alone. Equal signals give an equal archive.

    Args:
        exp_folder: the run's folder; both are made in it, replacing those of an earlier call.
        pairs: all that are to be handed in.
        packing: names and sizes.
        provenance: JSON file that says what made the signals.
        sounds: opens the files, and knows the sampling rate of the mixtures.
        progress: wraps the pairs, once for the check and once for the archive.

    Raises:
        InputError: names that the challenge does not know, or what `check_enhanced` finds; nothing
            is written then.
    """
    name = _submission_name(packing)
    if not provenance.is_file():
        raise InputError(f"{provenance}: no such file")
    check_enhanced(exp_folder, pairs, sounds, progress)
    parts = _parts(exp_folder, pairs, packing.part_mb)
    suffixes = [f"_part{number}" for number in range(1, len(parts) + 1)] if len(parts) > 1 else [""]
    archives = [exp_folder / f"{name}{suffix}.zip" for suffix in suffixes]
    submission = Submission(exp_folder / name, archives)
    bar = iter(progress([pair for part in parts for pair in part]))
    with atomic_folder(submission.folder) as folder, ExitStack() as stack:
        written = [stack.enter_context(atomic_file(archive)) for archive in archives]
        checksums: dict[str, str] = {}
        for archive, part in zip(written, parts, strict=True):
            checksums |= _fill(folder, archive, exp_folder, islice(bar, len(part)))
        shutil.copyfile(provenance, folder / PROVENANCE)
        checksums[PROVENANCE] = file_sha256(provenance)
        lines = (f"{checksum}  {file}\n" for file, checksum in sorted(checksums.items()))
        write_text(folder / CHECKSUMS, "".join(lines))
    for path in exp_folder.glob(f"{name}*.zip"):
        if path not in archives and re.fullmatch(rf"{name}(_part\d+)?\.zip", path.name):
            path.unlink()  # Of an earlier call with parts of another size.
    return submission


def _parts(exp_folder: Path, pairs: Sequence[Pair], part_mb: float | None) -> list[list[Pair]]:
    """The pairs of each archive, in the order of names."""
    parts: list[list[Pair]] = [[]]
    size = END_OF_ARCHIVE
    for pair in sorted(pairs, key=lambda pair: pair.enhanced_file):
        path = exp_folder / pair.enhanced_file
        # The name stands in the archive twice.
        entry = path.stat().st_size + ENTRY + 2 * len(pair.enhanced_file.as_posix())
        if part_mb is not None and END_OF_ARCHIVE + entry > part_mb * 1e6:
            raise InputError(f"submission.part_mb: {part_mb:g}, but {path} alone is larger")
        if part_mb is not None and size + entry > part_mb * 1e6:
            parts.append([])
            size = END_OF_ARCHIVE
        parts[-1].append(pair)
        size += entry
    return parts


def _submission_name(packing: Packing) -> str:
    team, causality, supplement = packing.team, packing.causality, packing.supplement
    problems = []
    if not _TEAM.fullmatch(team):
        problems.append(f"team: expected letters, digits, _ and -, as in 'T001', got {team!r}")
    if causality not in CAUSALITIES:
        problems.append(f"causality: expected {' or '.join(CAUSALITIES)}, got {causality!r}")
    if supplement not in SUPPLEMENTS:
        problems.append(f"supplement: expected one of {SUPPLEMENTS}, got {supplement!r}")
    if problems:
        raise InputError(problems)
    return "_".join(filter(None, ("submission", team, causality, supplement)))


def _fill(folder: Path, archive: Path, exp_folder: Path, pairs: Iterable[Pair]) -> dict[str, str]:
    """Put every signal into folder and archive, in the order given; return their checksums."""
    checksums = {}
    # Stored: FLAC does not get smaller.
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as stored:
        for pair in pairs:
            source, name = exp_folder / pair.enhanced_file, pair.enhanced_file.as_posix()
            _link_or_copy(source, folder / name)
            data = source.read_bytes()
            checksums[name] = sha256([data])
            entry = zipfile.ZipInfo(name, _NO_TIME)
            entry.create_system = 3  # Unix, wherever it is made
            entry.external_attr = 0o644 << 16
            stored.writestr(entry, data)
    return checksums


def _link_or_copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
