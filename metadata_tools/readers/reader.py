"""Converts published data sets to the challenge's layout; all readers use this module.

A reader finds the pieces, the players and the file of each stem from the names of the files. All
other steps are the same for all data sets: files are unpacked and decoded, dry stems are placed in
a hall, the stems are cut into excerpts, the loudness of the mixtures is set, and scenes are drawn.
"""

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cmss.audio import read_sound, resample
from cmss.command_line import exit_status
from cmss.errors import InputError, noting
from cmss.files.atomic import alone, clear_stale
from cmss.rendering.held_out import matches
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
from metadata_tools.inputs.options import (
    LONGEST_S,
    at_least,
    check_outside,
    command_parser,
    real,
    split_of,
    to_path,
)
from metadata_tools.inputs.packages import Package, extract, open_package
from metadata_tools.readers.stem_mp4 import read_stream, require_ffmpeg
from metadata_tools.rendering.halls import Halls, in_hall


@dataclass(frozen=True)
class StemFile:
    """Holds the name of a stem's file in the package, and the audio stream of the stem."""

    file: str
    stream: int | None = None


@dataclass(frozen=True)
class Piece:
    """Describes a piece of music by its name in the data set and by its stems."""

    name: str
    stems: dict[str, StemFile]


@dataclass
class Catalogue:
    """Lists the pieces of a data set, with a message for each piece that is left out."""

    pieces: list[Piece] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Reader:
    """Defines how a data set is read.

    Args:
        dataset: name of the data set in the metadata.
        catalogue: function that finds the pieces from the names of the files in a package, and
            raises InputError if stems are missing or a stem has two files.
        split: default split of the pieces.
        reserved: whether the data set is evaluation data of the challenge, which must not be used
            for training.
        dry: whether the stems are mono recordings without reverberation.
    """

    dataset: str
    catalogue: Callable[[Collection[str]], Catalogue]
    split: str
    reserved: bool = False
    dry: bool = False


def add_stem(stems: dict[str, StemFile], label: str, stem: StemFile, piece: str) -> None:
    """Add a stem to the stems of a piece.

    Raises:
        InputError: the dict `stems` already has another file for this stem.
    """
    # `Violin` and `Violin_1` are names of the same stem.
    other = {label, f"{label}_1", label.removesuffix("_1")} & stems.keys()
    if other:
        first = stems[other.pop()].file
        raise InputError(f"{piece}: name clash: {first} and {stem.file} are both {label}")
    stems[label] = stem


def make_dataset(reader: Reader, options: argparse.Namespace) -> list[str]:
    """Write a data set in the challenge's layout.

    The files of an archive are first unpacked to a folder next to `options.out`, so that a call
    that was interrupted can continue.

    Args:
        reader: reader of the data set.
        options: command-line options that the parser of :func:`parser` has parsed.

    Returns:
        Messages about what was left out and what was written.

    Raises:
        InputError: the source or the options cannot be used. No data set is created.
    """
    rooms = getattr(options, "rooms", None)
    halls = Halls.read(rooms) if rooms else Halls()
    check_free(options.out)
    check_outside(options.out, [options.source])
    out = real(options.out)
    package = open_package(options.source)
    catalogue = reader.catalogue(package.sizes)
    pieces = [x for x in catalogue.pieces if not options.only or matches(x.name, options.only)]
    _check(reader, pieces, options)
    scratch = out.with_name(f".{out.name}.unpacked")
    with alone(out.with_name(f".{out.name}.lock"), f"making {out}"):
        clear_stale(out.parent)
        try:
            folder = _unpacked(package, pieces, scratch)
            with new_dataset(out) as root:
                tracks, lines = _write_pieces(reader, pieces, folder, root, halls, options)
                counts = Counter(track.split for track in tracks)
                check_ids_suffice(counts, options.scenes_per_track, options.listeners)
                pairs = write_metadata(
                    root,
                    tracks,
                    options.seed,
                    options.scenes_per_track,
                    options.listeners_per_scene,
                    options.listeners,
                )
        except InputError:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        shutil.rmtree(scratch, ignore_errors=True)
    made = ", ".join(f"{counts[split]} {split}" for split in SPLITS if counts[split])
    summary = f"{out}: {len(pieces)} pieces of {reader.dataset}, {made} tracks, {pairs} pairs"
    return [*catalogue.left_out, *lines, summary]


def _check(reader: Reader, pieces: Sequence[Piece], options: argparse.Namespace) -> None:
    """Check everything that can be checked before files are unpacked."""
    source = options.source
    if not pieces:
        raise InputError(
            f"{source}: no piece of {reader.dataset} found, or no piece matches the option --only"
        )
    splits = {split_of(piece.name, options, options.split) for piece in pieces}
    trained_on = splits & {"train", "valid"}
    if reader.reserved and trained_on and not options.force:
        raise InputError(
            f"{reader.dataset} is the challenge's evaluation data and must not be used for "
            f"training: expected --split test, got {' and '.join(sorted(trained_on))}; if you do "
            "not enter the challenge, add --force"
        )
    names = Counter(slug(piece.name) for piece in pieces)
    if twice := [name for name, count in names.items() if count > 1]:
        raise InputError([f"{source}: name clash: two pieces are called {name}" for name in twice])
    if any(stem.stream is not None for piece in pieces for stem in piece.stems.values()):
        require_ffmpeg()


def _unpacked(package: Package, pieces: Sequence[Piece], scratch: Path) -> Path:
    """Unpack the files of the pieces if necessary, and return the folder that contains them."""
    if package.is_folder:
        return package.path
    files = {stem.file for piece in pieces for stem in piece.stems.values()}
    extract(package, {name: scratch / name for name in sorted(files)}, package.path.name)
    return scratch


def _write_pieces(
    reader: Reader,
    pieces: Sequence[Piece],
    folder: Path,
    root: Path,
    halls: Halls,
    options: argparse.Namespace,
) -> tuple[list[MadeTrack], list[str]]:
    """Write the audio of all pieces; return the tracks, and a line for each omitted excerpt."""
    tracks: list[MadeTrack] = []
    left_out: list[str] = []
    problems: list[str] = []
    for number, piece in enumerate(tqdm(pieces, desc=reader.dataset, unit="piece", disable=None)):
        with noting(problems):
            stems = read_piece(reader, piece, folder)
            if reader.dry:
                # Each piece has a different seed, so that the sound of a piece does not depend on
                # which other pieces are read.
                rng = np.random.default_rng([options.seed, 30, number])
                stems = in_hall({label: stem[0] for label, stem in stems.items()}, halls, rng)
            split = split_of(piece.name, options, options.split)
            # Excerpts last 15 s as in the challenge. Excerpts for training are longer, because the
            # training draws random segments from these excerpts.
            duration_s = options.duration or (30.0 if split == "train" else 15.0)
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
        # Two pieces may share a stem; its problem is reported only once.
        raise InputError(dict.fromkeys(problems))
    return tracks, left_out


def read_piece(reader: Reader, piece: Piece, folder: Path) -> dict[str, np.ndarray]:
    """Read the stems of a piece at 44.1 kHz, and cut the stems to the same length.

    Returns:
        Dict from the label of a player to the waveform (channels, samples) in float32.

    Raises:
        InputError: a file cannot be decoded or has an unexpected number of channels, or the lengths
            of the stems differ too much.
    """
    problems: list[str] = []
    stems: dict[str, np.ndarray] = {}
    expected = 1 if reader.dry else 2
    for label, stem in piece.stems.items():
        path = folder / stem.file
        with noting(problems):
            if stem.stream is None:
                signal, rate_hz = read_sound(path, most_channels=2)
            else:
                signal, rate_hz = read_stream(path, stem.stream)
            if len(signal) != expected:
                problems.append(f"{path}: {len(signal)} channel(s), expected {expected}")
            stems[label] = resample(signal, rate_hz, SAMPLE_RATE_HZ)
    if problems:
        raise InputError(problems)
    lengths = {label: samples.shape[1] for label, samples in stems.items()}
    shortest, longest = min(lengths.values()), max(lengths.values())
    # Encoders append at most 0.1 s, so that a larger difference is an error.
    if longest - shortest > 0.1 * SAMPLE_RATE_HZ:
        label = min(lengths, key=lambda label: lengths[label])
        raise InputError(
            f"{folder / piece.stems[label].file}: lasts {shortest / SAMPLE_RATE_HZ:.2f} s, but "
            f"another stem lasts {longest / SAMPLE_RATE_HZ:.2f} s: the file is truncated, or the "
            "stems belong to different pieces"
        )
    return {label: samples[:, :shortest] for label, samples in stems.items()}


def excerpts(stems: Mapping[str, np.ndarray], duration_s: float) -> Iterator[dict[str, np.ndarray]]:
    """Cut a piece into consecutive excerpts, as in the challenge, and yield the excerpts.

    The remainder after the last complete excerpt is left out. A piece that is shorter than an
    excerpt is yielded completely.
    """
    total = next(iter(stems.values())).shape[1]
    length = min(round(duration_s * SAMPLE_RATE_HZ), total)
    for start in range(0, total - length + 1, length):
        yield {label: stem[:, start : start + length] for label, stem in stems.items()}


def parser(program: str, description: str, reader: Reader) -> argparse.ArgumentParser:
    """Return a parser with the options that all readers have."""
    made = command_parser(program, description)
    add, some = made.add_argument, at_least(1)
    add("source", type=to_path, metavar="SOURCE",
        help="path of the archive, or of a folder with the contents of the archive")  # fmt: skip
    add("--out", type=to_path, required=True, metavar="DIR", help="path of the new folder")
    add("--split", choices=SPLITS, default=reader.split,
        help="split of the pieces that match no pattern; default: %(default)s")  # fmt: skip
    for split in ("valid", "test"):
        add(f"--{split}-works", nargs="*", default=[], metavar="PATTERN",
            help=f"words or shell patterns that name the pieces of the {split} split")  # fmt: skip
    add("--only", nargs="*", default=[], metavar="PATTERN",
        help="words or shell patterns that name the pieces to read")  # fmt: skip
    add("--duration", type=at_least(0.4, float, LONGEST_S), metavar="SECONDS",
        help="duration of an excerpt in seconds; default: 30 for train, else 15")  # fmt: skip
    if reader.reserved:
        add("--force", action="store_true", help="allow training data from evaluation data")
    if reader.dry:
        add("--rooms", type=to_path, metavar="DIR",
            help="folder with stereo impulse responses; default: simulated rooms")  # fmt: skip
    add("--seed", type=at_least(0), default=1, metavar="N",
        help="seed of all random numbers; default: %(default)s")  # fmt: skip
    add("--scenes-per-track", type=some, default=4, metavar="N",
        help="number of scenes of each track; default: %(default)s")  # fmt: skip
    add("--listeners-per-scene", type=some, default=2, metavar="N",
        help="number of listeners of each scene; default: %(default)s")  # fmt: skip
    add("--listeners", type=some, default=8, metavar="N",
        help="number of listeners of each split; default: %(default)s")  # fmt: skip
    return made


def run(program: str, reader: Reader, options: argparse.Namespace) -> int:
    """Write a data set, and return the exit status."""

    def work() -> None:
        *notes, summary = make_dataset(reader, options)
        for note in notes:
            print(f"{program}: {note}", file=sys.stderr)
        print(summary)

    return exit_status(work, program)
