"""Unpack the challenge's packages into the layout that the recipes read.

    python -m metadata_tools.zenodo DOWNLOADS --out DATA

DOWNLOADS is the folder with EnsembleSet_Mix_1.zip, CadenzaWoodwind.zip and metadata.zip, or several
packages by name; the evaluation package and the tuning set may lie there too. DATA becomes what the
official process_zenodo_download.py makes of them: the training audio as it is, validation stems cut
from music.valid.to_generate.json and summed to mixtures, the metadata.

A call that was stopped is called again and goes on where it ended. What is wrong with names, sizes
and metadata is found before anything is written.
"""

import argparse
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
from metadata_tools.inputs.options import to_path
from metadata_tools.inputs.packages import extract


def carry_out(plan: Plan, root: Path) -> list[str]:
    """Do what is planned and not done yet.

    Returns:
        A line for each mixture that went beyond full scale.
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
    """Cut and sum validation tracks.

    Args:
        unpacked: the files that they are cut from.

    Returns:
        A line for each mixture that went beyond full scale.

    Raises:
        InputError: files that are damaged, too short, or of different kinds.
    """
    problems: list[str] = []
    headers: dict[str, AudioHeader] = {}
    for track in tracks:
        kinds = set()
        for stem in track.stems:
            if stem.source not in headers:
                headers[stem.source] = read_header(unpacked[stem.source])
            header = headers[stem.source]
            start, length = stem.span(header.sample_rate_hz)
            kinds.add((header.sample_rate_hz, header.channels, length))
            if start + length > header.samples:
                problems.append(
                    f"{VALID_FILE}: {track.name}: {stem.source} lasts "
                    f"{header.samples / header.sample_rate_hz:g} s, "
                    f"{stem.start_s + stem.duration_s:g} s wanted"
                )
        if len(kinds) > 1:
            problems.append(
                f"{VALID_FILE}: {track.name}: expected stems of one sampling rate, number of "
                f"channels and length, got {sorted(kinds)}"
            )
    if problems:
        raise InputError(problems)
    warnings = []
    for track in tqdm(tracks, desc="validation", unit="track", disable=None):
        rate_hz = headers[track.stems[0].source].sample_rate_hz
        if clipped := _write_track(track, unpacked, rate_hz):
            warnings.append(
                f"{track.name}: the sum of the stems is beyond full scale in {clipped} samples, "
                "which are clipped as in the official data"
            )
    return warnings


def _is_made(track: ValidTrack) -> bool:
    """Whether all files of a track are there.

    Raises:
        InputError: a file of another length is in their place.
    """
    targets = [(stem.target, stem) for stem in track.stems] + [(track.mixture, track.stems[0])]
    for target, stem in targets:
        if not target.exists():
            return False
        header = read_header(target)
        expected = stem.span(header.sample_rate_hz)[1]
        if header.samples != expected:
            raise InputError(
                f"{target}: {header.samples} samples, expected {expected}; name another folder"
            )
    return True


def _write_track(track: ValidTrack, unpacked: Mapping[str, Path], rate_hz: int) -> int:
    """Write the stems and their sum; returns how many samples of the sum were clipped."""
    total: np.ndarray | None = None
    for folder in {stem.target.parent for stem in track.stems} | {track.mixture.parent}:
        clear_stale(folder)
    for stem in track.stems:
        start, length = stem.span(rate_hz)
        # As floats: what has more than 16 bits is summed before it is rounded, as there.
        signal = read_span(unpacked[stem.source], start, start + length)
        total = signal if total is None else total + signal
        write_flac(stem.target, signal, rate_hz)
    assert total is not None
    return write_flac(track.mixture, total, rate_hz)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m metadata_tools.zenodo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("packages", type=to_path, nargs="+", metavar="DOWNLOADS",
        help="a folder of packages, or packages")  # fmt: skip
    parser.add_argument("--out", type=to_path, required=True, metavar="DATA",
        help="becomes path.root of the recipes")  # fmt: skip
    options = parser.parse_args(arguments)
    return exit_status(lambda: unpack(options.packages, options.out), "zenodo")


def unpack(packages: Sequence[Path], root: Path) -> None:
    """Unpack packages into a data folder and say what there is."""
    plan = make_plan(find_packages(packages), root)
    for warning in (*plan.notes, *carry_out(plan, root)):
        print(f"zenodo: {warning}", file=sys.stderr)
    files = sum(len(copies) for _, copies in plan.copies)
    print(
        f"{root}: {plan.train} training files, {len(plan.tracks)} validation tracks; "
        f"{files} files of the packages in all"
    )


if __name__ == "__main__":
    sys.exit(main())
