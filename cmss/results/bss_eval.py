"""SDR, SIR and SAR of estimated stems: BSS Eval version 4, for spatial images.

An estimate is decomposed into the reference and three errors (Vincent, Gribonval and Févotte,
IEEE Trans. Audio Speech Lang. Process. 14(4), 2006):

    estimate = reference + spatial distortion + interference + artefacts

Two projections define the errors. The first is the best approximation of the estimate by the
reference, filtered by 512 taps from each channel to each channel. The second is the best
approximation by all references, filtered in the same way. Spatial distortion is the difference of
the first projection from the reference, interference is the difference of both projections, and
artefacts are the rest of the estimate. Filters are fitted once to the full signal, then energies
are compared in frames of 1 s:

    SDR = reference / (spatial distortion + interference + artefacts)
    SIR = first projection / interference
    SAR = second projection / artefacts

Version 4 (Stöter, Liutkus and Ito, LVA/ICA 2018) with the median over frames is the usual measure
of music separation. As in museval 0.4.1, a frame in which any source is exactly silent is excluded
for all sources. A source that is silent throughout has no ratios. Here it is excluded and the
others are evaluated without it, whereas museval raises an error.

This is an implementation for this project, because museval cannot be imported without ffmpeg,
mir_eval drops its separation module in version 0.9, and fast_bss_eval does not support spatial
images. All estimates are fitted at once by a Cholesky decomposition, which takes a fraction of
museval's time.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.linalg import cho_factor, cho_solve, toeplitz

Signals = NDArray[np.float64]

TAPS = 512
"""Length of the distortion filters."""
FRAME_S = 1.0
"""Length in seconds of the frames for which ratios are computed."""

# Regularisation relative to the power of the references: with two equal channels, the filters are
# not unique.
_RIDGE = 1e-10


@dataclass(frozen=True)
class Ratios:
    """SDR, SIR and SAR of a source in dB: medians over frames.

    Infinite if there is no such error; NaN if every frame has a silent source.
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
        references: (channels, samples) each, by source id.
        estimates: of the same sources and shapes.
        sample_rate_hz: of both.

    Returns:
        Ratios by source id, without sources whose reference or estimate is silent throughout.

    Raises:
        ValueError: sources or shapes differ.
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
        true: references (sources, channels, samples), none of which is silent throughout.
        estimated: (sources, channels, samples).
        frame: samples in a frame. An incomplete last frame is dropped, unless it is the only frame.

    Returns:
        (3, sources, frames), NaN in frames in which any reference or estimate is silent.
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
        # Second projection, from all references: (sources, channels, size)
        explained = _filtered(spectra.reshape(-1, spectra.shape[-1]), all_filters, size)
        for n in range(sources):
            # First projection, from the reference of the source: (channels, size)
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

    These are inner products of delayed inputs with each other and with the targets, which are
    correlations at the difference of the delays.

    Args:
        inputs: (inputs, samples).
        wanted: targets, (sources, channels, samples).
        taps: length of the filters.

    Returns:
        Correlations of the inputs with each other, (inputs, taps, inputs, taps), and with the
        targets, (inputs, sources, channels, taps).
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
    """Solve the normal equations for the filters with the least squared error.

    Args:
        blocks: correlations of the inputs, see :func:`_correlations`.
        products: correlations of the inputs with the targets.

    Returns:
        (sources, inputs, channels, taps).
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
    """Filter spectra (inputs, bins) by (sources, inputs, channels, bins), and sum over inputs.

    Returns:
        (sources, channels, size).
    """
    return irfft(np.einsum("if,sicf->scf", spectra, filters), size)


def _ratio_db(signal: Signals, error: Signals) -> float:
    signal_energy, error_energy = np.sum(signal**2), np.sum(error**2)
    if error_energy == 0:
        return np.inf
    return float(10 * np.log10(signal_energy / error_energy))
