"""The submission: a folder with all enhanced signals, and its archive.

The rules are those of the second Cadenza Challenge, task 2. For each pair of scene and listener
there is a file `enhanced_signals/<split>/<scene>_<listener>_remix.flac`: stereo, 32 kHz, 16 bit.
The archive is `submission_<TeamID>_causal.zip` or `_noncausal.zip`, with `_aug`, `_sup` or
`_aug_sup` before `.zip` for extra training data or supplementary systems.
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
from cmss.run.folder import PROVENANCE
from cmss.scenes import Pair, SoundFiles

REMIX_SAMPLE_RATE_HZ = 32000
CAUSALITIES = ("causal", "noncausal")
SUPPLEMENTS = ("", "aug", "sup", "aug_sup")

Progress = Callable[[Sequence[Pair]], Iterable[Pair]]


@dataclass(frozen=True)
class Packing:
    """Name of a submission, and size of its archives.

    Args:
        team: id of the team in the challenge.
        causality: "causal" or "noncausal".
        supplement: "", "aug", "sup" or "aug_sup".
        part_mb: maximum size of an archive in MB. A larger submission is split into
            `<name>_part1.zip` and so on, which unpack to the same folder. None for no limit.
    """

    team: str
    causality: str
    supplement: str = ""
    part_mb: float | None = None


@dataclass(frozen=True)
class Submission:
    """Paths of a submission: the folder to keep, and the archive to submit, or its parts."""

    folder: Path
    archives: list[Path]


def check_enhanced(
    exp_folder: Path,
    pairs: Sequence[Pair],
    sounds: SoundFiles,
    progress: Progress = iter,
) -> None:
    """Check that a run has an enhanced signal for each pair, as required by the rules.

    All files are decoded. The expected length is that of the excerpt after resampling, rounded to
    the nearest sample. A difference of one sample is accepted, because other resamplers round up.

    Args:
        exp_folder: the run's folder.
        pairs: all pairs of the submission.
        sounds: opens the files, and has the sampling rate of the mixtures.
        progress: wraps the pairs, for a progress bar.

    Raises:
        InputError: one line for each file that is missing or damaged, has another format or length,
            or belongs to no pair.
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
    if abs(header.samples - samples) > 1:
        problems.append(
            f"{path}: {header.samples} samples, expected {samples} for an excerpt of "
            f"{pair.scene.track.mixture.duration_s:g} s"
        )
    sounds.read(path)  # Decoding finds damage after the header.
    return problems


def build_submission(
    exp_folder: Path,
    pairs: Sequence[Pair],
    packing: Packing,
    provenance: Path,
    sounds: SoundFiles,
    progress: Progress = iter,
) -> Submission:
    """Check the enhanced signals of a run, and write the submission folder and its archive.

    The folder `submission_<team>_<causality>/` contains the signals (as hard links if possible),
    their checksums in the format of `sha256sum --check`, and the provenance. The archive beside it
    contains only the signals. The same signals always give the same bytes of the archive.

    Args:
        exp_folder: the run's folder, in which both are written; existing ones are replaced.
        pairs: all pairs of the submission.
        packing: name of the submission, and size of its archives.
        provenance: JSON file with the provenance of the signals.
        sounds: opens the files, and has the sampling rate of the mixtures.
        progress: wraps the pairs, once for the check and once for the archive.

    Raises:
        InputError: the name is not allowed by the rules, or the problems of
            :func:`check_enhanced`. Nothing is written then.
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
        write_text(folder / "checksums.sha256", "".join(lines))
    for path in exp_folder.glob(f"{name}*.zip"):
        if path not in archives and re.fullmatch(rf"{name}(_part\d+)?\.zip", path.name):
            path.unlink()  # From an earlier call with another `part_mb`.
    return submission


def _parts(exp_folder: Path, pairs: Sequence[Pair], part_mb: float | None) -> list[list[Pair]]:
    """Return the pairs of each archive, in the order of their file names."""
    # Bytes of a ZIP archive in addition to data and names: the two headers of each entry, and the
    # end of the archive.
    entry_bytes, end_bytes = 76, 22
    parts: list[list[Pair]] = [[]]
    size = end_bytes
    for pair in sorted(pairs, key=lambda pair: pair.enhanced_file):
        path = exp_folder / pair.enhanced_file
        # Both headers of an entry contain its name.
        entry = path.stat().st_size + entry_bytes + 2 * len(pair.enhanced_file.as_posix())
        if part_mb is not None and end_bytes + entry > part_mb * 1e6:
            raise InputError(f"submission.part_mb: {part_mb:g}, but {path} alone is larger")
        if part_mb is not None and size + entry > part_mb * 1e6:
            parts.append([])
            size = end_bytes
        parts[-1].append(pair)
        size += entry
    return parts


def _submission_name(packing: Packing) -> str:
    team, causality, supplement = packing.team, packing.causality, packing.supplement
    problems = []
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", team):
        problems.append(f"team: expected letters, digits, _ and -, as in 'T001', got {team!r}")
    if causality not in CAUSALITIES:
        problems.append(f"causality: expected {' or '.join(CAUSALITIES)}, got {causality!r}")
    if supplement not in SUPPLEMENTS:
        problems.append(f"supplement: expected one of {SUPPLEMENTS}, got {supplement!r}")
    if problems:
        raise InputError(problems)
    return "_".join(filter(None, ("submission", team, causality, supplement)))


def _fill(folder: Path, archive: Path, exp_folder: Path, pairs: Iterable[Pair]) -> dict[str, str]:
    """Add signals to the folder and to an archive, in the given order; return their checksums."""
    checksums = {}
    # Stored without compression: FLAC is compressed already.
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as stored:
        for pair in pairs:
            source, name = exp_folder / pair.enhanced_file, pair.enhanced_file.as_posix()
            _link_or_copy(source, folder / name)
            data = source.read_bytes()
            checksums[name] = sha256([data])
            # A fixed time and system, so that the same signals give the same bytes; 1980 is the
            # first year that ZIP can state.
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix
            entry.external_attr = 0o644 << 16
            stored.writestr(entry, data)
    return checksums


def _link_or_copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # Another file system, or a file system without links.
        shutil.copyfile(source, target)
