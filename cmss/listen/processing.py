"""Reads, separates, remixes and amplifies a recording, in pieces."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmss.api.progress import Progress
from cmss.audio import (
    SHORTEST_LOUDNESS_S,
    loudness_of_pieces,
    resampled,
    resampled_length,
    stereo_pieces,
)
from cmss.errors import InputError
from cmss.machine.pieces import Pieces, gathered, pieces
from cmss.quantities import RECORDED_RATE_HZ
from cmss.remix import ConsistentRemix, Waveform, rebalance
from cmss.run.configuration import default_hearing_aid
from cmss.run.stage import progress
from cmss.scenes import EXPECTED_LUFS, Listener, Scene, Track
from cmss.separators import Separator, Stems
from cmss.separators.blocks import InBlocks

SAMPLE_RATE_HZ = 44100
HEADROOM_DB = 3.0
"""Largest difference in dB that is allowed between the level of a remix and the level for which the
hearing aid is designed. The levels of the challenge's mixtures may differ as much from it."""


def read_mixture(path: Path) -> tuple[NDArray[np.float32], float]:
    """Read a recording, and convert it to 44.1 kHz and -40 LUFS.

    Returns:
        The mixture (2, samples), and the gain in dB that was applied to the recording.

    Raises:
        InputError: the recording is unreadable, silent, or too short to measure its loudness.
    """
    with stereo_pieces(path) as (header, recorded):
        rate_hz = header.sample_rate_hz
        if refusal := RECORDED_RATE_HZ.refusal([rate_hz]):
            raise InputError(f"{path}: sampling rate: {refusal}")
        samples = resampled_length(header.samples, rate_hz, SAMPLE_RATE_HZ)
        # The mixture and the output are needed at the same time.
        mixture = gathered(resampled(recorded, rate_hz, SAMPLE_RATE_HZ), samples, arrays=2)
    if samples < SHORTEST_LOUDNESS_S * SAMPLE_RATE_HZ:
        raise InputError(f"{path}: too short, expected at least {SHORTEST_LOUDNESS_S:g} s")
    lufs = loudness_of_pieces(pieces(mixture), SAMPLE_RATE_HZ)
    if not math.isfinite(lufs):
        raise InputError(f"{path}: silent, or too soft to have a loudness")
    gain_db = EXPECTED_LUFS - lufs
    for piece in pieces(mixture):
        piece *= 10 ** (gain_db / 20)
    return mixture, gain_db


def separate(
    separator: Separator,
    mixture: NDArray[np.float32],
    track: Track,
    wrap: Callable[[Separator], Separator] | None = None,
    report: Callable[[float], object] | None = None,
) -> Stems:
    """Separate a mixture in blocks, with a progress bar.

    Args:
        separator: separator that is applied to each block.
        mixture: mixture (2, samples) with a loudness of -40 LUFS.
        track: track with the players.
        wrap: wraps the separator of the entire mixture, for example to keep the stems.
        report: function that is called with the fraction that is done, from 0 to 1.

    Returns:
        Dict from the id of a player to the stem, (2, samples).

    Raises:
        InputError: the weights of the separator are missing.
    """
    separator.prepare(track.sources.values())
    counted = Progress(report, mixture.shape[-1])
    with progress(total=_seconds(mixture), unit="s", desc="separate") as bar:

        def block_done(samples: int) -> None:
            bar.update(min(round(samples / SAMPLE_RATE_HZ), bar.total - bar.n))
            counted.block_done(samples)

        watched = counted.watch(separator) if report else separator
        in_blocks: Separator = InBlocks(watched, block_done)
        stems = (wrap(in_blocks) if wrap else in_blocks).separate(mixture, track.sources)
        bar.update(bar.total - bar.n)
        return stems


def amplified(
    mixture: NDArray[np.float32], stems: Stems, scene: Scene, listener: Listener
) -> NDArray[np.float32]:
    """Remix a recording and amplify it for a listener, in pieces.

    Args:
        mixture: mixture (2, samples) with a loudness of -40 LUFS.
        stems: dict from the id of a player to the stem (2, samples).
        scene: scene with the players and their gains.
        listener: listener with audiograms and compressors.

    Returns:
        The enhanced signal (2, samples); the first channel is for the left ear.
    """
    # In a first pass, the loudness of the remix is measured.
    lufs = loudness_of_pieces(remixed(mixture, stems, scene), SAMPLE_RATE_HZ)
    limit = level_limit(lufs)
    remix = (limit * piece for piece in remixed(mixture, stems, scene))
    ears = default_hearing_aid(SAMPLE_RATE_HZ).in_pieces(remix, listener)
    with progress(total=_seconds(mixture), unit="s", desc="amplify") as bar:
        return gathered(_counted(ears, bar), mixture.shape[-1], arrays=2)


def level_limit(lufs: float) -> float:
    """Return the factor of a remix with a loudness in LUFS that is too loud for the hearing aid.

    The level factor keeps the total power of the named players. If all named players have negative
    gains, the level factor amplifies the other instruments, and the remix may become too loud.
    """
    return float(10 ** (min(0.0, EXPECTED_LUFS + HEADROOM_DB - lufs) / 20))


def _seconds(signal: NDArray[np.floating]) -> int:
    return round(signal.shape[-1] / SAMPLE_RATE_HZ)


def _counted(signal: Pieces, bar: Any) -> Iterator[NDArray[Any]]:
    """Yield the pieces of a signal, and count their seconds in a progress bar."""
    for piece in signal:
        yield piece
        bar.update(min(_seconds(piece), bar.total - bar.n))


def remixed(mixture: NDArray[np.float32], stems: Stems, scene: Scene) -> Iterator[Waveform]:
    """Remix a mixture (2, samples) with the gains of a scene, in pieces."""
    for piece, *estimates in zip(*map(pieces, (mixture, *stems.values())), strict=True):
        of_piece = dict(zip(stems, estimates, strict=True))
        yield rebalance(piece, of_piece, scene, ConsistentRemix())
