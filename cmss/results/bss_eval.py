"""Computes SDR, SIR and SAR of estimated stems by BSS Eval version 4, for spatial images.

Each estimate is decomposed into the reference and three errors (Vincent, Gribonval and Févotte,
IEEE Transactions on Audio, Speech and Language Processing 14(4), 2006):

    estimate = reference + spatial distortion + interference + artefacts

Two projections define the errors. The first projection is the best approximation of the estimate by
the filtered reference; filters of 512 taps lead from each channel of the reference to each channel
of the estimate. The second projection is the best approximation of the estimate by all references,
which are filtered by such filters. Then

    spatial distortion = first projection - reference
    interference = second projection - first projection
    artefacts = estimate - second projection

The filters are fitted once to the full signal. SDR, SIR and SAR are ratios of energies, which are
computed in frames of 1 s:

    SDR = reference / (spatial distortion + interference + artefacts)
    SIR = first projection / interference
    SAR = second projection / artefacts

Version 4 (Stöter, Liutkus and Ito, LVA/ICA 2018) with the median over frames is the usual measure
of music separation. As in museval 0.4.1, a frame in which any source is exactly silent is excluded
for all sources. If a source is silent in the complete signal, SDR, SIR and SAR of this source are
not defined. This module evaluates only the other sources of a track with a silent source, whereas
museval raises an error.

This project has its own implementation, because museval cannot be imported without ffmpeg,
mir_eval drops its separation module in version 0.9, and fast_bss_eval does not support spatial
images. The filters for all estimates are computed by a single Cholesky decomposition, which takes a
fraction of museval's time.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.linalg import cho_factor, cho_solve, toeplitz

Signals = NDArray[np.float64]

TAPS = 512
"""Number of taps of the distortion filters."""
FRAME_S = 1.0
"""Length in seconds of the frames for which ratios are computed."""

# Regularisation of the filters, relative to the power of the references. It is needed because the
# filters are not unique if two channels of the references are equal.
_RIDGE = 1e-10


@dataclass(frozen=True)
class Ratios:
    """Holds SDR, SIR and SAR of a source in dB; each ratio is the median over frames.

    A ratio is infinite if the errors in its denominator are zero. All ratios are NaN if there is no
    frame in which all sources are audible.
    """

    sdr: float
    sir: float
    sar: float


def bss_eval(
    references: Mapping[str, NDArray[np.floating]],
    estimates: Mapping[str, NDArray[np.floating]],
    sample_rate_hz: int,
) -> dict[str, Ratios]:
    """Compare estimated stems with the ground truth stems.

    Args:
        references: dict from the id of a source to its ground truth stem (channels, samples).
        estimates: dict from the id of a source to its estimated stem (channels, samples), for the
            same sources.
        sample_rate_hz: sampling rate of all stems.

    Returns:
        Dict from the id of a source to its ratios, without the sources whose reference or estimate
        is completely silent.

    Raises:
        ValueError: references and estimates have different sources or shapes.
    """
    if references.keys() != estimates.keys():
        raise ValueError(f"estimates of {sorted(estimates)}, expected {sorted(references)}")
    audible = [key for key in references if np.any(references[key]) and np.any(estimates[key])]
    if not audible:
        return {}
    true = np.stack([references[key] for key in audible]).astype(np.float64)
    estimated = np.stack([estimates[key] for key in audible]).astype(np.float64)
    if true.shape != estimated.shape:
        raise ValueError(f"estimates of shape {estimated.shape}, expected {true.shape}")
    frames = framewise_ratios(true, estimated, round(FRAME_S * sample_rate_hz))
    frames = frames[:, :, ~np.isnan(frames).any(axis=(0, 1))]
    if frames.shape[-1] == 0:
        return dict.fromkeys(audible, Ratios(np.nan, np.nan, np.nan))
    medians = np.median(frames, axis=-1)
    return {key: Ratios(*map(float, medians[:, n])) for n, key in enumerate(audible)}


def framewise_ratios(true: Signals, estimated: Signals, frame: int) -> Signals:
    """Compute SDR, SIR and SAR in dB of each frame.

    Args:
        true: references (sources, channels, samples); no reference is completely silent.
        estimated: estimates (sources, channels, samples).
        frame: number of samples in a frame. An incomplete last frame is dropped, unless it is the
            only frame.

    Returns:
        Ratios (3, sources, frames). The ratios of a frame are NaN if any reference or estimate is
        silent in this frame.
    """
    sources, channels, samples = true.shape
    frame = min(frame, samples)
    taps = min(TAPS, samples)
    size = next_fast_len(frame + taps - 1, real=True)
    gram, products = _correlations(true.reshape(-1, samples), estimated, taps)
    all_filters = rfft(_filters(gram, products), size)
    own = [slice(n * channels, (n + 1) * channels) for n in range(sources)]
    own_filters = [
        rfft(_filters(gram[i, :, i], products[i, n : n + 1]), size) for n, i in enumerate(own)
    ]
    ratios = np.full((3, sources, samples // frame), np.nan)
    for number in range(samples // frame):
        part = slice(number * frame, (number + 1) * frame)
        if not (np.any(true[..., part], (1, 2)) & np.any(estimated[..., part], (1, 2))).all():
            continue
        spectra = rfft(true[..., part], size)
        # Second projection, the filtered sum of all references: (sources, channels, size)
        explained = _filtered(spectra.reshape(-1, spectra.shape[-1]), all_filters, size)
        for n in range(sources):
            # First projection, the filtered reference of this source: (channels, size)
            own = _filtered(spectra[n], own_filters[n], size)[0]
            rest = -explained[n]
            rest[:, :frame] += estimated[n, :, part]
            error = estimated[n, :, part] - true[n, :, part]
            ratios[:, n, number] = (
                _ratio_db(true[n, :, part], error),
                _ratio_db(own, explained[n] - own),
                _ratio_db(explained[n], rest),
            )
    return ratios


def _correlations(inputs: Signals, wanted: Signals, taps: int) -> tuple[Signals, Signals]:
    """Compute both sides of the normal equations of the filters.

    One side has the inner products of the delayed inputs with each other, the other side has the
    inner products of the delayed inputs with the targets. The inner product of two delayed signals
    is their correlation at the difference of the delays.

    Args:
        inputs: signals (inputs, samples) that are filtered.
        wanted: targets (sources, channels, samples) that the filtered inputs approximate.
        taps: number of taps of the filters.

    Returns:
        The correlations (inputs, taps, inputs, taps) of the inputs with each other, and the
        correlations (inputs, sources, channels, taps) of the inputs with the targets.
    """
    count, samples = inputs.shape
    size = next_fast_len(samples + taps - 1, real=True)
    spectra = rfft(inputs, size)
    blocks = np.empty((count, taps, count, taps))
    for i in range(count):
        for j in range(i, count):
            correlation = irfft(spectra[i].conj() * spectra[j], size)
            negative_lags = np.concatenate((correlation[:1], correlation[:-taps:-1]))
            blocks[i, :, j] = toeplitz(correlation[:taps], negative_lags)
            blocks[j, :, i] = blocks[i, :, j].T
    targets = rfft(wanted.reshape(-1, samples), size)
    products = irfft(spectra[:, None].conj() * targets, size)[..., :taps]
    return blocks, products.reshape(count, *wanted.shape[:-1], taps)


def _filters(blocks: Signals, products: Signals) -> Signals:
    """Solve the normal equations, and return the filters with the least squared error.

    Args:
        blocks: correlations of the inputs with each other, see :func:`_correlations`.
        products: correlations of the inputs with the targets, see :func:`_correlations`.

    Returns:
        The filters, an array (sources, inputs, channels, taps).
    """
    count, taps = blocks.shape[:2]
    gram = np.array(blocks).reshape(count * taps, count * taps)
    gram[np.diag_indices_from(gram)] += _RIDGE * np.trace(gram) / len(gram)
    solved = cho_solve(
        cho_factor(gram, lower=True, overwrite_a=True),
        products.transpose(0, 3, 1, 2).reshape(count * taps, -1),
    )
    filters = solved.reshape(count, taps, *products.shape[1:3])
    return np.ascontiguousarray(filters.transpose(2, 0, 3, 1))


def _filtered(spectra: NDArray, filters: NDArray, size: int) -> Signals:
    """Filter the inputs, and sum the filtered inputs.

    Args:
        spectra: spectra (inputs, bins) of the inputs.
        filters: frequency responses (sources, inputs, channels, bins) of the filters.
        size: length of the Fourier transform.

    Returns:
        Signals (sources, channels, size).
    """
    return irfft(np.einsum("if,sicf->scf", spectra, filters), size)


def _ratio_db(signal: Signals, error: Signals) -> float:
    signal_energy, error_energy = np.sum(signal**2), np.sum(error**2)
    if error_energy == 0:
        return np.inf
    return float(10 * np.log10(signal_energy / error_energy))
