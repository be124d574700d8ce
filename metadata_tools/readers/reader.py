"""Published data sets -> the challenge's layout: one protocol, and the command line of all readers.

A reader knows from the names of files alone which pieces there are, who plays in them and which
file has which stem. Everything else is done here, the same for all: unpacking, decoding, seating
dry stems in a hall, cutting into excerpts, levelling, writing, scenes.
"""

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from tqdm import tqdm

from cmss.audio import read_sound, resample
from cmss.command_line import exit_status
from cmss.errors import InputError, noting
from cmss.files.atomic import alone, clear_stale
from metadata_tools.challenge.writer import (
    SAMPLE_RATE_HZ,
    SPLITS,
    MadeTrack,
    check_free,
    check_ids_suffice,
    new_dataset,
    slug,
    write_metadata,
    write_track,
)
from metadata_tools.inputs.options import LONGEST_S, at_least, check_outside, matches, real, to_path
from metadata_tools.inputs.packages import Package, extract, open_package
from metadata_tools.readers.stem_mp4 import read_stream, require_ffmpeg
from metadata_tools.rendering.halls import Halls, MeasuredHalls, SyntheticHalls, seated

EXCERPT_S = {"train": 30.0, "valid": 15.0, "test": 15.0}
"""Those of valid and test as in the challenge; in training a segment is drawn from an excerpt."""
LARGEST_DIFFERENCE_S = 0.1
"""Between stems of a piece, which are cut to the shortest: what encoders add at the end."""


@dataclass(frozen=True)
class Part:
    """Where a stem is: a file of the package, and which of several sounds in it."""

    file: str
    stream: int | None = None


@dataclass(frozen=True)
class Piece:
    """A piece of music: its name in the data set, and its stems by label (`Violin_1`)."""

    name: str
    parts: dict[str, Part]


@dataclass
class Catalogue:
    """What a data set holds for us, and a line for each thing in it that is left out."""

    pieces: list[Piece] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


class Reader(Protocol):
    """One data set."""

    @property
    def dataset(self) -> str:
        """Its name in the metadata."""
        ...

    @property
    def split(self) -> str:
        """What its pieces are for, unless the user says otherwise."""
        ...

    @property
    def reserved(self) -> bool:
        """Whether it is the challenge's evaluation data, not to be trained on."""
        ...

    @property
    def dry(self) -> bool:
        """Whether its stems are mono, without a room."""
        ...

    def catalogue(self, files: Collection[str]) -> Catalogue:
        """What there is, from the names of a package's files.

        Raises:
            InputError: stems missing, or two files for one stem.
        """
        ...


def add_part(parts: dict[str, Part], label: str, part: Part, piece: str) -> None:
    """Note where a stem is; an InputError if there are two files for it."""
    other = {label, f"{label}_1", label.removesuffix("_1")} & parts.keys()
    if other:
        first = parts[other.pop()].file
        raise InputError(f"{piece}: name clash: {first} and {part.file} are both {label}")
    parts[label] = part


@dataclass(frozen=True)
class Settings:
    """What a user decides; see the command line.

    Args:
        splits: patterns of pieces by split; those that match none go to `split`.
    """

    split: str
    splits: Mapping[str, Sequence[str]]
    only: Sequence[str]
    force: bool
    duration_s: float | None
    halls: Halls
    seed: int
    scenes_per_track: int
    listeners_per_scene: int
    listeners: int

    def split_of(self, piece: Piece) -> str:
        """Test comes first, as in :func:`metadata_tools.rendering.plan.split_works`."""
        for split in reversed(SPLITS):
            if matches(piece.name, self.splits.get(split, ())):
                return split
        return self.split


def make_dataset(reader: Reader, source: Path, out: Path, settings: Settings) -> list[str]:
    """Write a data set in the challenge's layout.

    Args:
        source: archive or folder.
        out: a new folder. What an archive has to give is unpacked beside it first, so that a call
            that was stopped there goes on.

    Returns:
        Lines that say what was made and what was left out.

    Raises:
        InputError: the source or the settings cannot be used; nothing is left behind.
    """
    check_free(out)
    check_outside(out, [source])
    out = real(out)
    package = open_package(source)
    catalogue = reader.catalogue(package.sizes)
    pieces = [x for x in catalogue.pieces if not settings.only or matches(x.name, settings.only)]
    _check(reader, source, pieces, settings)
    scratch = out.with_name(f".{out.name}.unpacked")
    with alone(out.with_name(f".{out.name}.lock"), f"making {out}"):
        clear_stale(out.parent)
        try:
            folder = _unpacked(package, pieces, scratch)
            with new_dataset(out) as root:
                tracks, lines = _write_pieces(reader, pieces, folder, root, settings)
                counts = Counter(track.split for track in tracks)
                check_ids_suffice(counts, settings.scenes_per_track, settings.listeners)
                pairs = write_metadata(
                    root,
                    tracks,
                    settings.seed,
                    settings.scenes_per_track,
                    settings.listeners_per_scene,
                    settings.listeners,
                )
        except InputError:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        shutil.rmtree(scratch, ignore_errors=True)
    made = ", ".join(f"{counts[split]} {split}" for split in SPLITS if counts[split])
    summary = f"{out}: {len(pieces)} pieces of {reader.dataset}, {made} tracks, {pairs} pairs"
    return [*catalogue.left_out, *lines, summary]


def _check(reader: Reader, source: Path, pieces: Sequence[Piece], settings: Settings) -> None:
    """What can be wrong before anything is unpacked."""
    if not pieces:
        raise InputError(f"{source}: no piece of {reader.dataset} found, or none that --only names")
    trained_on = {settings.split_of(piece) for piece in pieces} & {"train", "valid"}
    if reader.reserved and trained_on and not settings.force:
        raise InputError(
            f"{reader.dataset} is what the challenge evaluates with, not to be trained on, and "
            f"{' and '.join(sorted(trained_on))} is for training; --force if you do not enter it"
        )
    names = Counter(slug(piece.name) for piece in pieces)
    if twice := [name for name, count in names.items() if count > 1]:
        raise InputError([f"{source}: name clash: two pieces are called {name}" for name in twice])
    if any(part.stream is not None for piece in pieces for part in piece.parts.values()):
        require_ffmpeg()


def _unpacked(package: Package, pieces: Sequence[Piece], scratch: Path) -> Path:
    """The folder in which the files of some pieces are."""
    if package.is_folder:
        return package.path
    files = {part.file for piece in pieces for part in piece.parts.values()}
    extract(package, {name: scratch / name for name in sorted(files)}, package.path.name)
    return scratch


def _write_pieces(
    reader: Reader, pieces: Sequence[Piece], folder: Path, root: Path, settings: Settings
) -> tuple[list[MadeTrack], list[str]]:
    tracks: list[MadeTrack] = []
    left_out: list[str] = []
    problems: list[str] = []
    for number, piece in enumerate(tqdm(pieces, desc=reader.dataset, unit="piece", disable=None)):
        with noting(problems):
            stems = read_piece(reader, piece, folder)
            if reader.dry:
                rng = np.random.default_rng([settings.seed, 30, number])
                stems = seated(
                    {label: stem[0] for label, stem in stems.items()}, settings.halls, rng
                )
            split = settings.split_of(piece)
            duration_s = settings.duration_s or EXCERPT_S[split]
            for index, excerpt in enumerate(excerpts(stems, duration_s)):
                name = f"{slug(piece.name)}_{index:03d}"
                try:
                    tracks.append(write_track(root, split, name, excerpt, reader.dataset))
                except ValueError as error:
                    shutil.rmtree(root / "audio" / split / name, ignore_errors=True)
                    left_out.append(f"{name}: left out: {error}")
    if not tracks and not problems:
        problems.append(f"{reader.dataset}: no excerpt could be made")
    if problems:
        # Two pieces may share a stem.
        raise InputError(dict.fromkeys(problems))
    return tracks, left_out


def read_piece(reader: Reader, piece: Piece, folder: Path) -> dict[str, np.ndarray]:
    """The stems of a piece at 44.1 kHz, equally long: (channels, samples) float32 by label.

    Raises:
        InputError: a file cannot be decoded, is not mono or stereo as it should be, or stems differ
            in length.
    """
    problems: list[str] = []
    stems: dict[str, np.ndarray] = {}
    expected = 1 if reader.dry else 2
    for label, part in piece.parts.items():
        path = folder / part.file
        with noting(problems):
            if part.stream is None:
                signal, rate_hz = read_sound(path, most_channels=2)
            else:
                signal, rate_hz = read_stream(path, part.stream)
            if len(signal) != expected:
                problems.append(f"{path}: {len(signal)} channel(s), expected {expected}")
            stems[label] = resample(signal, rate_hz, SAMPLE_RATE_HZ)
    if problems:
        raise InputError(problems)
    lengths = {label: stem.shape[1] for label, stem in stems.items()}
    shortest, longest = min(lengths.values()), max(lengths.values())
    if longest - shortest > LARGEST_DIFFERENCE_S * SAMPLE_RATE_HZ:
        label = min(lengths, key=lambda label: lengths[label])
        raise InputError(
            f"{folder / piece.parts[label].file}: lasts {shortest / SAMPLE_RATE_HZ:.2f} s, another "
            f"stem {longest / SAMPLE_RATE_HZ:.2f} s: truncated, or not of one piece"
        )
    return {label: stem[:, :shortest] for label, stem in stems.items()}


def excerpts(stems: Mapping[str, np.ndarray], duration_s: float) -> Iterator[dict[str, np.ndarray]]:
    """Consecutive excerpts as in the challenge; what is left at the end is left out.

    A piece that is shorter than one excerpt is one.
    """
    total = next(iter(stems.values())).shape[1]
    length = min(round(duration_s * SAMPLE_RATE_HZ), total)
    for start in range(0, total - length + 1, length):
        yield {label: stem[:, start : start + length] for label, stem in stems.items()}


def parser(program: str, description: str, reader: Reader) -> argparse.ArgumentParser:
    """The options that all readers have."""
    made = argparse.ArgumentParser(
        prog=f"python -m metadata_tools.{program}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add, some = made.add_argument, at_least(1)
    add(
        "source",
        type=to_path,
        metavar="SOURCE",
        help="the archive, or a folder that holds the data",
    )
    add("--out", type=to_path, required=True, metavar="DIR", help="a new folder")
    add("--split", choices=SPLITS, default=reader.split,
        help="of pieces that no pattern gives to another; default: %(default)s")  # fmt: skip
    for split in ("valid", "test"):
        add(f"--{split}-works", nargs="*", default=[], metavar="PATTERN",
            help=f"pieces of the {split} split: words or shell patterns")  # fmt: skip
    add("--only", nargs="*", default=[], metavar="PATTERN", help="these pieces alone")
    add("--duration", type=at_least(0.4, float, LONGEST_S), metavar="SECONDS",
        help="of an excerpt; default: 15, of train 30")  # fmt: skip
    if reader.reserved:
        add("--force", action="store_true", help="make training data of evaluation data")
    if reader.dry:
        add("--rooms", type=to_path, metavar="DIR",
            help="stereo impulse responses, a folder per hall; default: made-up rooms")  # fmt: skip
    add("--seed", type=at_least(0), default=1, metavar="N", help="default: %(default)s")
    add("--scenes-per-track", type=some, default=4, metavar="N", help="default: %(default)s")
    add("--listeners-per-scene", type=some, default=2, metavar="N", help="default: %(default)s")
    add("--listeners", type=some, default=8, metavar="N",
        help="per split, one of them without loss; default: %(default)s")  # fmt: skip
    return made


def run(program: str, reader: Reader, options: argparse.Namespace) -> int:
    """Make a data set; returns the exit status."""

    def work() -> None:
        rooms = getattr(options, "rooms", None)
        settings = Settings(
            split=options.split,
            splits={"valid": options.valid_works, "test": options.test_works},
            only=options.only,
            force=getattr(options, "force", False),
            duration_s=options.duration,
            halls=MeasuredHalls.read(rooms) if rooms else SyntheticHalls(),
            seed=options.seed,
            scenes_per_track=options.scenes_per_track,
            listeners_per_scene=options.listeners_per_scene,
            listeners=options.listeners,
        )
        *notes, summary = make_dataset(reader, options.source, options.out, settings)
        for note in notes:
            print(f"{program}: {note}", file=sys.stderr)
        print(summary)

    return exit_status(work, program)
