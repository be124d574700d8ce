"""Runs the command: checks all options and files first, then processes each recording."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmss.audio import loudness_of_pieces, write_sound
from cmss.command_line import one_line
from cmss.errors import IncompleteError, InputError, noting
from cmss.files.atomic import atomic_file
from cmss.listen.choice import separator_settings
from cmss.listen.inputs import check_recording, find_recordings, readable
from cmss.listen.kept_stems import KeptStems
from cmss.listen.levels import loudest_second_db, written_lufs
from cmss.listen.mixing import check_length, check_page, make_page
from cmss.listen.processing import SAMPLE_RATE_HZ, amplified, read_mixture, separate
from cmss.listen.scene import make_listener, make_scene, read_gains
from cmss.listen.written_files import Outputs, check_outputs, outputs_of, sounds_in
from cmss.machine.pieces import pieces
from cmss.remix import factor
from cmss.report.panels import before_and_after, png
from cmss.scenes import EXPECTED_LUFS, Listener, Scene, unusual_hearing
from cmss.separators import Separator, Stems, build_separator


@dataclass(frozen=True)
class Settings:
    """Holds the settings that all recordings of a command share.

    Args:
        scene: players and gains.
        listener: audiograms and compressors.
        separator: estimates the stems.
        keep: function that wraps a separator, so that the stems are stored. If `keep` is None, the
            stems are not stored.
        subtype: sample format of the files, see :func:`cmss.audio.sample_format`.
        page: folder of the page for a browser; None if no page is written.
    """

    scene: Scene
    listener: Listener
    separator: Separator
    keep: Callable[[Separator], Separator] | None
    subtype: str | None
    page: Path | None


def listen(options: argparse.Namespace) -> None:
    """Process the recordings of a command line, and print a line for each recording.

    Args:
        options: see :mod:`cmss.listen.command`.

    Raises:
        InputError: options are not valid, or recordings cannot be read. If only recordings cannot
            be read, all other recordings are processed first.
        IncompleteError: results of a recording are not finite; the results of all other recordings
            were written.
        OSError: a file cannot be written.
    """
    problems: list[str] = []
    scene = None
    with noting(problems):
        listener = make_listener(options.audiogram, options.listener)
    with noting(problems):
        option = "--stems" if options.stems else "--page" if options.page else ""
        chosen = separator_settings(options.quality, options.separator, option)
    with noting(problems):
        gains_db = [0.0] * len(options.instruments)
        if options.gains is not None:
            gains_db = read_gains(options.gains, options.instruments)
        scene = make_scene(options.recordings[0], options.instruments, gains_db)
    with noting(problems):
        outputs = _outputs(options, [*scene.track.sources] if scene and options.stems else [])
    if problems:
        raise InputError(problems)
    assert scene
    separator = build_separator(chosen, SAMPLE_RATE_HZ)
    separator.prepare(scene.track.sources.values())
    for warning in unusual_hearing([listener]):
        print(one_line(warning), file=sys.stderr)
    keep = partial(KeptStems, folder=options.keep, settings=chosen) if options.keep else None
    settings = Settings(scene, listener, separator, keep, options.subtype, options.page)
    not_finite: list[str] = []
    for recording, files in outputs.items():
        try:
            print(one_line(_process(recording, files, settings)), flush=True)
        except InputError as error:
            problems += error.problems
        except FloatingPointError as error:
            not_finite.append(f"{recording}: {error}")
    if not_finite:
        raise IncompleteError([*problems, *not_finite])
    if problems:
        raise InputError(problems)


def _outputs(options: argparse.Namespace, stems: Sequence[str]) -> dict[Path, Outputs | None]:
    """Check recordings and output files, and return the output files of each recording.

    If only a page is written, the value for the recording is None.

    Args:
        options: options of the command line.
        stems: names of the stems to write.

    Raises:
        InputError: a recording or an output cannot be used.
    """
    recordings = find_recordings(options.recordings)
    if options.page and len(recordings) > 1:
        raise InputError(f"--page: expected a single recording, got {len(recordings)}")
    if options.out is None:
        sounds = []
    elif len(options.recordings) > 1 or options.recordings[0].is_dir():
        sounds = sounds_in(options.out, f".{options.format or 'flac'}", recordings)
    elif options.format:
        raise InputError(
            "--format: expected several recordings; for a single recording, the suffix of -o "
            "chooses the format"
        )
    else:
        sounds = [options.out]
    written = [outputs_of(sound, stems, options.subtype) for sound in sounds]
    audiogram = Path(options.audiogram)
    inputs = [*recordings, audiogram] if audiogram.is_file() else recordings
    problems: list[str] = []
    with noting(problems):
        check_outputs(written, inputs)
    if options.page:
        with noting(problems):
            check_page(options.page, recordings[0], inputs)
    for recording in recordings:
        with noting(problems):
            check_recording(recording)
    if options.keep and options.keep.exists() and not options.keep.is_dir():
        problems.append(f"--keep {options.keep}: is a file, expected a folder")
    if problems:
        raise InputError(problems)
    return dict(zip_longest(recordings, written))


def _process(recording: Path, outputs: Outputs | None, settings: Settings) -> str:
    """Process a recording, write the output files, and return a line about these files."""
    with readable(recording) as file:
        mixture, gain_db = read_mixture(file)
    if settings.page:
        check_length(recording, mixture.shape[-1] / SAMPLE_RATE_HZ)
    stems = separate(settings.separator, mixture, settings.scene.track, settings.keep)
    ears = amplified(mixture, stems, settings.scene, settings.listener)
    lines = []
    if settings.page:
        scene, listener = settings.scene, settings.listener
        page = make_page(settings.page, recording.name, mixture, stems, ears, scene, listener)
        lines.append(f"{page}: open this page in a browser to mix the players")
    if outputs:
        lines.append(_write(recording, outputs, settings, mixture, gain_db, stems, ears))
    return "; ".join(lines)


def _write(
    recording: Path,
    outputs: Outputs,
    settings: Settings,
    mixture: NDArray[np.float32],
    gain_db: float,
    stems: Stems,
    ears: NDArray[np.float32],
) -> str:
    """Write the output files of a recording, and return a line about these files.

    Args:
        recording: the recording.
        outputs: the files to write.
        settings: settings that all recordings share.
        mixture: mixture (2, samples) with a loudness of -40 LUFS. `mixture` is scaled in place.
        gain_db: gain in dB that was applied to the recording.
        stems: dict from the id of a player to the stem (2, samples).
        ears: the enhanced signal (2, samples). The enhanced signal is scaled in place.
    """
    recorded_db = loudest_second_db(mixture, SAMPLE_RATE_HZ) - gain_db
    stems = {key: stems[key] for key in outputs.stems}
    lufs = loudness_of_pieces(pieces(ears), SAMPLE_RATE_HZ)
    # If the result is silent or too soft to have a loudness, its level relative to the recording is
    # not changed.
    lufs = lufs if np.isfinite(lufs) else EXPECTED_LUFS
    # Stems are scaled like the recording, so that they add up to the recording.
    unamplified = [(signal, EXPECTED_LUFS) for signal in (mixture, *stems.values())]
    level = written_lufs([(ears, lufs), *unamplified], SAMPLE_RATE_HZ)
    _scale(ears, factor(level - lufs))
    of_stems = factor(level - EXPECTED_LUFS)
    _scale(mixture, of_stems)

    def write(path: Path, signal: NDArray[np.float32], scale: float = 1.0) -> None:
        scaled = (np.float32(scale) * piece for piece in pieces(signal))
        write_sound(path, scaled, 2, SAMPLE_RATE_HZ, settings.subtype)

    write(outputs.sound, ears)
    rise_db = loudest_second_db(ears, SAMPLE_RATE_HZ) - recorded_db
    difference = f"{abs(rise_db):.1f} dB {'above' if rise_db >= 0 else 'below'}"
    if rise_db == -np.inf:
        difference = "silent, below"
    line = f"{outputs.sound}: its loudest second is {difference} that of {recording} as recorded"
    # If the result is more than 20 dB louder than the recording, it may be dangerous to play it
    # without turning the volume down.
    if rise_db > 20:
        print(f"{outputs.sound}: turn the volume down before you play it", file=sys.stderr)
    try:
        write(outputs.before, mixture)
        for key, path in outputs.stems.items():
            write(path, stems[key], of_stems)
        with atomic_file(outputs.picture) as temporary:
            figure = before_and_after(mixture, ears, SAMPLE_RATE_HZ, settings.listener)
            temporary.write_bytes(png(figure))
    except OSError:
        # The sound has been written, and only a file beside it failed. Report the sound, because
        # its separation may have taken long.
        print(one_line(line), file=sys.stderr)
        raise
    stated = f"{level:.1f} LUFS"
    return f"{line}; {stated}, as loud as {outputs.before}; {outputs.picture}: before and after"


def _scale(signal: NDArray[np.float32], by: float) -> None:
    for piece in pieces(signal):
        piece *= np.float32(by)
