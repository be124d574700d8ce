"""Unpack the challenge's packages into the layout that the recipes read.

    python -m metadata_tools.zenodo DOWNLOADS --out DATA

DOWNLOADS is the folder with EnsembleSet_Mix_1.zip, CadenzaWoodwind.zip and metadata.zip, or a list
of these files. DOWNLOADS may also contain the evaluation package and the tuning set. The command
writes the same files to DATA as the official process_zenodo_download.py: the unchanged training
audio, the validation stems of music.valid.to_generate.json, the sums of these stems, and the
metadata.

If a call was interrupted, call the same command again to continue. Before the command writes any
file, the command reports all errors in names, sizes and metadata.
"""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cmss.audio import AudioHeader, read_header, read_span, write_flac
from cmss.command_line import exit_status
from cmss.errors import InputError
from cmss.files.atomic import alone, clear_stale
from metadata_tools.challenge.zenodo_plan import (
    UNPACKED,
    VALID_FILE,
    Plan,
    ValidTrack,
    find_packages,
    make_plan,
)
from metadata_tools.inputs.options import command_parser, to_path
from metadata_tools.inputs.packages import extract


def carry_out(plan: Plan, root: Path) -> list[str]:
    """Write all files of a plan, except those that an earlier call has written.

    Returns:
        A list with a message for each mixture that was clipped.
    """
    with alone(root / ".unpacking.lock", "unpacking"):
        tracks = [track for track in plan.tracks if not _is_made(track)]
        sources = {stem.source for track in tracks for stem in track.stems}
        for package, copies in plan.copies:
            if not _is_metadata(copies):
                needed = {
                    name: target
                    for name, target in copies.items()
                    if name in sources or not target.is_relative_to(root / UNPACKED)
                }
                extract(package, needed, package.path.name)
        warnings = make_valid(tracks, plan.unpacked)
        for package, copies in plan.copies:
            if _is_metadata(copies):
                extract(package, copies, package.path.name)
        shutil.rmtree(root / UNPACKED, ignore_errors=True)
    return warnings


def _is_metadata(copies: Mapping[str, Path]) -> bool:
    return any(target.parent.name == "metadata" for target in copies.values())


def make_valid(tracks: Sequence[ValidTrack], unpacked: Mapping[str, Path]) -> list[str]:
    """Cut the stems of validation tracks, and sum them to mixtures.

    Args:
        tracks: the validation tracks to make.
        unpacked: dict from the name of a file in a package to the path of the unpacked file. The
            dict contains all files from which stems are cut.

    Returns:
        A list with a message for each mixture that was clipped.

    Raises:
        InputError: files are damaged or too short, or differ in sampling rate or number of
            channels.
    """
    problems: list[str] = []
    headers: dict[str, AudioHeader] = {}
    for track in tracks:
        formats = set()
        for stem in track.stems:
            if stem.source not in headers:
                headers[stem.source] = read_header(unpacked[stem.source])
            header = headers[stem.source]
            start, length = stem.span(header.sample_rate_hz)
            formats.add((header.sample_rate_hz, header.channels, length))
            if start + length > header.samples:
                problems.append(
                    f"{VALID_FILE}: {track.name}: {stem.source} lasts "
                    f"{header.samples / header.sample_rate_hz:g} s, "
                    f"expected {stem.start_s + stem.duration_s:g} s"
                )
        if len(formats) > 1:
            problems.append(
                f"{VALID_FILE}: {track.name}: expected stems of one sampling rate, number of "
                f"channels and length, got {sorted(formats)}"
            )
    if problems:
        raise InputError(problems)
    warnings = []
    for track in tqdm(tracks, desc="validation", unit="track", disable=None):
        rate_hz = headers[track.stems[0].source].sample_rate_hz
        if clipped := _write_track(track, unpacked, rate_hz):
            warnings.append(
                f"{track.name}: {clipped} samples of the sum of the stems are beyond full scale "
                "and clipped, as in the official data"
            )
    return warnings


def _is_made(track: ValidTrack) -> bool:
    """Return whether all files of a track exist.

    Raises:
        InputError: a file exists but has a different length.
    """
    targets = [(stem.target, stem) for stem in track.stems] + [(track.mixture, track.stems[0])]
    for target, stem in targets:
        if not target.exists():
            return False
        header = read_header(target)
        expected = stem.span(header.sample_rate_hz)[1]
        if header.samples != expected:
            raise InputError(
                f"{target}: {header.samples} samples, expected {expected}; choose another folder"
            )
    return True


def _write_track(track: ValidTrack, unpacked: Mapping[str, Path], rate_hz: int) -> int:
    """Write the stems of a track and their sum; return how many samples of the sum are clipped."""
    total: np.ndarray | None = None
    for folder in {stem.target.parent for stem in track.stems} | {track.mixture.parent}:
        clear_stale(folder)
    for stem in track.stems:
        start, length = stem.span(rate_hz)
        # Sum the stems as floats, because the official script also sums before rounding to 16 bits.
        signal = read_span(unpacked[stem.source], start, start + length)
        total = signal if total is None else total + signal
        write_flac(stem.target, signal, rate_hz)
    assert total is not None
    return write_flac(track.mixture, total, rate_hz)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status, which is 2 if the input cannot be used."""
    parser = command_parser("zenodo", __doc__)
    parser.add_argument("packages", type=to_path, nargs="+", metavar="DOWNLOADS",
        help="folder that contains the packages, or the packages themselves")  # fmt: skip
    parser.add_argument("--out", type=to_path, required=True, metavar="DATA",
        help="path of the data folder, which the recipes read as path.root")  # fmt: skip
    options = parser.parse_args(arguments)

    def work() -> None:
        plan = make_plan(find_packages(options.packages), options.out)
        for warning in (*plan.notes, *carry_out(plan, options.out)):
            print(f"zenodo: {warning}", file=sys.stderr)
        files = sum(len(copies) for _, copies in plan.copies)
        print(
            f"{options.out}: {plan.train} training files, {len(plan.tracks)} validation tracks; "
            f"{files} files of the packages in all"
        )

    return exit_status(work, "zenodo")


if __name__ == "__main__":
    sys.exit(main())
