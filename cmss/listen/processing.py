"""Reads, separates, remixes and amplifies a recording, in pieces."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from cmss.separators.progress import Progress

SAMPLE_RATE_HZ = 44100
HEADROOM_DB = 3.0
"""Number of dB by which the level of a remix may exceed the design level of the hearing aid. The
levels of the challenge's mixtures may differ from the design level by the same amount."""


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
        # The mixture and the output are in memory at the same time.
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
        wrap: function that wraps the block-wise separator, for example to store the stems. The
            block-wise separator gets the entire mixture and applies `separator` to each block.
        report: function that is called with the completed fraction, from 0 to 1.

    Returns:
        Dict from the id of a player to the stem, (2, samples).

    Raises:
        InputError: the weights of the separator are missing.
    """
    separator.prepare(track.sources.values())
    with progress(total=_seconds(mixture), unit="s", desc="separate") as bar:

        def show(fraction: float) -> None:
            bar.update(round(fraction * bar.total) - bar.n)
            if report:
                report(fraction)

        done = Progress(show, mixture.shape[-1])
        in_blocks: Separator = InBlocks(done.watch(separator), done.block_done)
        stems = (wrap(in_blocks) if wrap else in_blocks).separate(mixture, track.sources)
        show(1.0)
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
    # The first pass measures the loudness of the remix.
    lufs = loudness_of_pieces(remixed(mixture, stems, scene), SAMPLE_RATE_HZ)
    limit = level_limit(lufs)
    remix = (limit * piece for piece in remixed(mixture, stems, scene))
    ears = default_hearing_aid(SAMPLE_RATE_HZ).in_pieces(remix, listener)
    with progress(total=_seconds(mixture), unit="s", desc="amplify") as bar:
        return gathered(_counted(ears, bar), mixture.shape[-1], arrays=2)


def level_limit(lufs: float) -> float:
    """Return the factor that attenuates a remix if its loudness is too high for the hearing aid.

    Before this function is called, the remix is multiplied by :func:`cmss.remix.level_factor`. If
    all named players have negative gains, the level factor amplifies all other instruments, and the
    remix may become too loud.
    """
    return float(10 ** (min(0.0, EXPECTED_LUFS + HEADROOM_DB - lufs) / 20))


def _seconds(signal: NDArray[np.floating]) -> int:
    return round(signal.shape[-1] / SAMPLE_RATE_HZ)


def _counted(signal: Pieces, bar: Any) -> Iterator[NDArray[Any]]:
    """Yield the pieces of a signal, and advance a progress bar by the length of each piece."""
    for piece in signal:
        yield piece
        bar.update(min(_seconds(piece), bar.total - bar.n))


def remixed(mixture: NDArray[np.float32], stems: Stems, scene: Scene) -> Iterator[Waveform]:
    """Remix a mixture (2, samples) with the gains of a scene, in pieces."""
    for piece, *estimates in zip(*map(pieces, (mixture, *stems.values())), strict=True):
        of_piece = dict(zip(stems, estimates, strict=True))
        yield rebalance(piece, of_piece, scene, ConsistentRemix())
