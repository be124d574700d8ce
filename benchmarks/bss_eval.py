"""Compare our BSS Eval with a direct solution by Cholesky decomposition, or with museval.

    python -m benchmarks.bss_eval [--pieces 17] [--seconds 9] [--museval]

The pieces are synthetic stereo quartets. The estimates are the sources multiplied by a random mask,
plus interference. The reference implementation solves the same normal equations by a Cholesky
decomposition of the full matrix. With --museval, the reference implementation is museval. The
option requires museval, and museval requires ffmpeg.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from importlib import import_module

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.linalg import cho_factor, cho_solve, toeplitz
from scipy.signal import fftconvolve

from benchmarks.side_by_side import compare, report
from benchmarks.sounds import RATE_HZ, separated, stem
from cmss.results.bss_eval import TAPS, framewise_ratios

Signals = NDArray[np.float64]

PLAYERS = 4


def piece(seconds: float, seed: int) -> tuple[Signals, Signals]:
    """Synthesise a quartet and its estimates, (sources, 2, samples) each.

    Each channel of a source is filtered differently, as if the source were recorded in a room.
    Therefore, no channel is a delayed copy of another channel.
    """
    rng = np.random.default_rng(seed)
    decay = np.exp(-np.arange(4000) / 800)
    true = np.stack(
        [
            [
                fftconvolve(source, decay * rng.standard_normal(4000))[: len(source)]
                for _ in range(2)
            ]
            for source in (stem(seconds, PLAYERS * seed + n) for n in range(PLAYERS))
        ]
    )
    mixture = true.sum(axis=0)
    masked = [[separated(channel, seed) for channel in source] for source in true]
    return true, np.array(masked) + 0.1 * mixture


def ours(true: Signals, estimated: Signals) -> Signals:
    """Compute SDR, SIR and SAR with our BSS Eval.

    Returns:
        The medians of the ratios over frames of 1 s, an array (3, sources).
    """
    return np.median(framewise_ratios(true, estimated, RATE_HZ), axis=-1)


def cholesky(true: Signals, estimated: Signals) -> Signals:
    """Compute the same ratios with a Cholesky decomposition."""
    return np.median(cholesky_ratios(true, estimated, RATE_HZ), axis=-1)


def museval(true: Signals, estimated: Signals) -> Signals:
    """Compute the same ratios with museval."""
    metrics = import_module("museval.metrics")
    signals = (x.transpose(0, 2, 1) for x in (true, estimated))
    sdr, _, sir, sar, _ = metrics.bss_eval(*signals, window=RATE_HZ, hop=RATE_HZ)
    return np.median([sdr, sir, sar], axis=-1)


def cholesky_ratios(true: Signals, estimated: Signals, frame: int) -> Signals:
    """Compute the ratios of `framewise_ratios` by the most direct method.

    Args:
        true: references (sources, channels, samples).
        estimated: estimates (sources, channels, samples).
        frame: number of samples in a frame.

    Returns:
        Ratios (3, sources, frames).
    """
    sources, channels, samples = true.shape
    frame, taps = min(frame, samples), min(TAPS, samples)
    size = next_fast_len(samples + taps - 1, real=True)
    count = sources * channels
    spectra = rfft(true.reshape(count, samples), size)
    gram = np.empty((count, taps, count, taps))
    for i in range(count):
        for j in range(i, count):
            correlation = irfft(spectra[i].conj() * spectra[j], size)
            negative_lags = np.concatenate((correlation[:1], correlation[:-taps:-1]))
            gram[i, :, j] = toeplitz(correlation[:taps], negative_lags)
            gram[j, :, i] = gram[i, :, j].T
    products = spectra[:, None, None].conj() * rfft(estimated, size)
    right = irfft(products, size)[..., :taps].transpose(0, 3, 1, 2)
    all_filters = _solved(gram, right)
    own = [slice(n * channels, (n + 1) * channels) for n in range(sources)]
    own_filters = [_solved(gram[i, :, i], right[i, :, n]) for n, i in enumerate(own)]

    ratios = np.full((3, sources, samples // frame), np.nan)
    for number in range(samples // frame):
        x, y = (z[..., number * frame : (number + 1) * frame] for z in (true, estimated))
        if not (x.any(axis=(1, 2)) & y.any(axis=(1, 2))).all():
            continue
        for n in range(sources):
            longer = np.pad(y[n], ((0, 0), (0, taps - 1)))
            first = _filtered(x[n], own_filters[n])
            second = _filtered(x.reshape(count, frame), all_filters[:, :, n])
            ratios[:, n, number] = [
                _ratio_db(x[n], y[n] - x[n]),
                _ratio_db(first, second - first),
                _ratio_db(second, longer - second),
            ]
    return ratios


def _solved(gram: Signals, right: Signals) -> Signals:
    """Solve the normal equations for filters (inputs, taps, ...)."""
    matrix = gram.reshape(right.shape[0] * right.shape[1], -1).copy()
    # The same regularisation as in cmss/results/distortion_filters.py.
    matrix[np.diag_indices_from(matrix)] += 1e-10 * np.trace(matrix) / len(matrix)
    factor = cho_factor(matrix, lower=True, overwrite_a=True)
    solved = cho_solve(factor, right.reshape(len(matrix), -1))
    return solved.reshape(right.shape)


def _filtered(inputs: Signals, filters: Signals) -> Signals:
    """Apply a filter to each input, and sum the filtered signals over the inputs.

    Args:
        inputs: signals of shape (inputs, samples).
        filters: impulse responses of shape (inputs, taps, channels).

    Returns:
        The sum over the inputs, an array of shape (channels, samples + taps - 1).
    """
    return fftconvolve(inputs[:, None], filters.transpose(0, 2, 1), axes=-1).sum(axis=0)


def _ratio_db(signal: Signals, error: Signals) -> float:
    error_energy = np.sum(error**2)
    return np.inf if error_energy == 0 else float(10 * np.log10(np.sum(signal**2) / error_energy))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bss_eval", description=__doc__)
    parser.add_argument("--pieces", type=int, default=17, help="number of quartets")
    parser.add_argument("--seconds", type=float, default=9.0, help="length of each quartet")
    parser.add_argument("--museval", action="store_true", help="compare with museval")
    arguments = parser.parse_args()
    make = partial(piece, arguments.seconds)
    cases: Iterator[tuple[str, tuple[Signals, Signals]]] = (
        (f"quartet {number}", make(number)) for number in range(arguments.pieces)
    )
    report(compare(ours, museval if arguments.museval else cholesky, piece(1.0, 0), cases))


if __name__ == "__main__":
    main()
