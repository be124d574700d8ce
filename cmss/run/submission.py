"""Checks the enhanced signals of a run; packs the signals in a submission folder and an archive.

This module follows the rules of the second Cadenza Challenge, task 2. Each pair of scene and
listener has a file `enhanced_signals/<split>/<scene>_<listener>_remix.flac`: stereo, 32 kHz, 16
bit. The name of the archive is `submission_<TeamID>_causal.zip` or
`submission_<TeamID>_noncausal.zip`. Before `.zip`, the name contains `_aug` if extra training data
were used, `_sup` if the system is a supplementary system, and `_aug_sup` if both conditions hold.
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
from cmss.errors import InputError, did_you_mean
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
    """Defines the name of a submission and the maximum size of its archives.

    Args:
        team: id of the team in the challenge.
        causality: causality of the system, "causal" or "noncausal".
        supplement: suffix of the name: empty, "aug", "sup" or "aug_sup".
        part_mb: maximum size of an archive in MB. If `part_mb` is None, there is no limit. A larger
            submission is split into the archives `<name>_part1.zip`, `<name>_part2.zip` and so on.
            All these archives unpack to the same folder.
    """

    team: str
    causality: str
    supplement: str = ""
    part_mb: float | None = None


@dataclass(frozen=True)
class Submission:
    """Holds the paths of a submission.

    Args:
        folder: folder with signals, checksums and provenance. The team keeps `folder`.
        archives: archives to submit; several if the submission is split.
    """

    folder: Path
    archives: list[Path]


def check_enhanced(
    exp_folder: Path,
    pairs: Sequence[Pair],
    sounds: SoundFiles,
    progress: Progress = iter,
) -> None:
    """Check that a run has an enhanced signal for each pair, as the rules require.

    All files are decoded. The expected number of samples is the length of the excerpt after
    resampling, rounded to the nearest integer. A difference of one sample is accepted, because
    other resamplers round up.

    Args:
        exp_folder: the run's folder.
        pairs: all pairs of the submission.
        sounds: cache that reads sound files at the sampling rate of the mixtures.
        progress: function that wraps a list of pairs in a progress bar, such as tqdm.

    Raises:
        InputError: files are missing or damaged, have a wrong format or length, or belong to no
            pair. The message has a line for each problem.
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
    sounds.read(path)  # Decode the file, because the data after the header may be damaged.
    return problems


def build_submission(
    exp_folder: Path,
    pairs: Sequence[Pair],
    packing: Packing,
    provenance: Path,
    sounds: SoundFiles,
    progress: Progress = iter,
) -> Submission:
    """Check the enhanced signals of a run, and write the submission folder and the archive.

    The submission folder has the name of the submission, such as `submission_T001_causal`. The
    submission folder contains the signals (as hard links if possible), the checksums of the signals
    in the format of `sha256sum --check`, and the provenance of the signals. The archive has the
    name of the submission with the suffix `.zip`, and contains only the signals. The same signals
    always give an archive with the same bytes.

    Args:
        exp_folder: the run's folder. The submission folder and the archive are written to the run's
            folder, and replace a submission folder and archive of the same name.
        pairs: all pairs of the submission.
        packing: name of the submission, and maximum size of its archives.
        provenance: path of the JSON file with the provenance of the signals.
        sounds: cache that reads sound files at the sampling rate of the mixtures.
        progress: function that wraps a list of pairs in a progress bar, such as tqdm. `progress` is
            called once for the check and once for the archive.

    Raises:
        InputError: the rules do not allow the name, the provenance is missing, a single file is
            larger than an archive may be, or :func:`check_enhanced` found problems. In all these
            cases, nothing is written.
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
            path.unlink()  # An earlier call with a different `part_mb` wrote this archive.
    return submission


def _parts(exp_folder: Path, pairs: Sequence[Pair], part_mb: float | None) -> list[list[Pair]]:
    """Divide the pairs among archives, in the order of the names of the enhanced files."""
    # In addition to data and file names, a ZIP archive contains two headers for each entry (76
    # bytes together), and a record at its end (22 bytes).
    entry_bytes, end_bytes = 76, 22
    parts: list[list[Pair]] = [[]]
    size = end_bytes
    for pair in sorted(pairs, key=lambda pair: pair.enhanced_file):
        path = exp_folder / pair.enhanced_file
        # Both headers of an entry contain its name.
        entry = path.stat().st_size + entry_bytes + 2 * len(pair.enhanced_file.as_posix())
        if part_mb is not None and end_bytes + entry > part_mb * 1e6:
            raise InputError(
                f"submission.part_mb: {path} is larger than {part_mb:g} MB; expected a larger value"
            )
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
        problems.append(
            f"causality: expected {' or '.join(CAUSALITIES)}, got {causality!r}"
            + did_you_mean(causality, CAUSALITIES)
        )
    if supplement not in SUPPLEMENTS:
        problems.append(
            f"supplement: expected one of {SUPPLEMENTS}, got {supplement!r}"
            + did_you_mean(supplement, SUPPLEMENTS)
        )
    if problems:
        raise InputError(problems)
    return "_".join(filter(None, ("submission", team, causality, supplement)))


def _fill(folder: Path, archive: Path, exp_folder: Path, pairs: Iterable[Pair]) -> dict[str, str]:
    """Add signals to the submission folder and to an archive, in the order of the pairs.

    Returns:
        Dict from the path of a signal, relative to the submission folder, to its SHA-256.
    """
    checksums = {}
    # The archive is not compressed, because FLAC files are already compressed.
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as stored:
        for pair in pairs:
            source, name = exp_folder / pair.enhanced_file, pair.enhanced_file.as_posix()
            _link_or_copy(source, folder / name)
            data = source.read_bytes()
            checksums[name] = sha256([data])
            # Time and operating system of the entry are always the same, so that the same signals
            # give the same bytes. 1980 is the first year that a ZIP archive can record.
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix
            entry.external_attr = 0o644 << 16
            stored.writestr(entry, data)
    return checksums


def _link_or_copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # Hard links are not possible between or on these file systems.
        shutil.copyfile(source, target)
