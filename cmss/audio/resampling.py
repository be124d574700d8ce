"""Resamples signals with soxr, at once or in pieces."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import soxr

from cmss.machine.pieces import Pieces


def resampled_length(samples: int, from_hz: int, to_hz: int) -> int:
    """Return the number of samples after :func:`resample`; halves are rounded up."""
    return (2 * samples * to_hz + from_hz) // (2 * from_hz)


def resample(signal: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """Resample along the last axis with the library soxr and its quality setting HQ.

    pyclarity uses the same library and the same setting.

    Args:
        signal: floating-point signal of shape (samples,) or (channels, samples).
        from_hz: sampling rate of the signal.
        to_hz: sampling rate of the resampled signal.

    Returns:
        The resampled signal, with the dtype of the original. If both sampling rates are equal, the
        original signal is returned.
    """
    if from_hz == to_hz:
        return signal
    return np.ascontiguousarray(soxr.resample(signal.T, from_hz, to_hz, quality="HQ").T)


def resampled(signal: Pieces, from_hz: int, to_hz: int) -> Iterator[npt.NDArray[np.floating]]:
    """Resample a signal in pieces; the result equals the result of :func:`resample`.

    Args:
        signal: pieces of the signal, floating-point arrays of shape (channels, samples).
        from_hz: sampling rate of the signal.
        to_hz: sampling rate of the result.
    """
    if from_hz == to_hz:
        yield from signal
        return
    stream = None
    for piece in signal:
        if stream is None:
            stream = soxr.ResampleStream(
                from_hz, to_hz, len(piece), dtype=piece.dtype, quality="HQ"
            )
            nothing = np.empty((0, len(piece)), piece.dtype)
        yield stream.resample_chunk(np.ascontiguousarray(piece.T)).T
    if stream is not None:
        yield stream.resample_chunk(nothing, last=True).T
