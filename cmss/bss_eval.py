"""SDR, SIR and SAR of estimated stems: BSS Eval version 4, for spatial images.

An estimate is taken apart into what it should be and three errors (Vincent, Gribonval and Févotte,
IEEE Trans. Audio Speech Lang. Process. 14(4), 2006):

    estimate = reference + spatial distortion + interference + artefacts

Spatial distortion is what filters of 512 taps, from each channel to each, can make of the
reference; interference is what such filters can make of all references together, beyond that;
artefacts are the rest. Filters are fitted once on the whole signal, then energies are compared
second by second:

    SDR = reference / all three errors
    SIR = what is made of the reference / interference
    SAR = what is made of all references / artefacts

Version 4 (Stöter, Liutkus and Ito, LVA/ICA 2018) and the median over seconds are how music
separation is reported, and how museval 0.4.1 computes it: a second in which any source is exactly
silent is left out for all. A source that is silent throughout has no ratios; here it is left out
and the others are judged without it, where museval refuses the whole piece.

Written anew, because museval cannot be imported without ffmpeg, mir_eval drops its separation
module in version 0.9, and fast_bss_eval knows no spatial images. Fitting all estimates at once by
Cholesky's method takes a fraction of museval's time.
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
"""What one ratio is taken over."""

# Relative to the power of the references: two equal channels leave the filters undetermined.
_RIDGE = 1e-10


@dataclass(frozen=True)
class Ratios:
    """How well a source was separated, in dB: medians over seconds.

    Infinite where there is no error of this kind; NaN where every second has a silent source.
    """

    sdr: float
    sir: float
    sar: float


def bss_eval(
    references: Mapping[str, NDArray[np.floating]],
    estimates: Mapping[str, NDArray[np.floating]],
    sample_rate_hz: int,
) -> dict[str, Ratios]:
    """Compare estimated stems with the true ones.

    Args:
        references: (channels, samples) each, by source id.
        estimates: the same, of the same sources.
        sample_rate_hz: of both.

    Returns:
        ratios by source id, without the sources whose reference or estimate is silent throughout.

    Raises:
        ValueError: other sources, or another length.
    """
    if references.keys() != estimates.keys():
        raise ValueError(f"estimates of {sorted(estimates)}, expected {sorted(references)}")
    heard = [key for key in references if np.any(references[key]) and np.any(estimates[key])]
    if not heard:
        return {}
    true = np.stack([references[key] for key in heard]).astype(np.float64)
    estimated = np.stack([estimates[key] for key in heard]).astype(np.float64)
    if true.shape != estimated.shape:
        raise ValueError(f"estimates of shape {estimated.shape}, expected {true.shape}")
    frames = framewise_ratios(true, estimated, round(FRAME_S * sample_rate_hz))
    frames = frames[:, :, ~np.isnan(frames).any(axis=(0, 1))]
    if frames.shape[-1] == 0:
        return dict.fromkeys(heard, Ratios(np.nan, np.nan, np.nan))
    medians = np.median(frames, axis=-1)
    return {key: Ratios(*map(float, medians[:, n])) for n, key in enumerate(heard)}


def framewise_ratios(true: Signals, estimated: Signals, frame: int) -> Signals:
    """SDR, SIR and SAR in dB of each frame: (3, sources, frames).

    Args:
        true: references (sources, channels, samples), none silent throughout.
        estimated: the same shape.
        frame: samples of a frame; a last one that is not full is dropped, but for an only one.

    Returns:
        NaN for a frame in which any reference or estimate is silent.
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
        explained = _filtered(spectra.reshape(-1, spectra.shape[-1]), all_filters, size)
        for n in range(sources):
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
    """What the normal equations of the filters are made of.

    Inner products of the delayed inputs, with each other and with what is wanted, are correlations
    at the difference of the delays.

    Args:
        inputs: (inputs, samples).
        wanted: (sources, channels, samples).
        taps: length of the filters.

    Returns:
        of the inputs with each other, (inputs, taps, inputs, taps), and with what is wanted,
        (inputs, sources, channels, taps).
    """
    count, samples = inputs.shape
    size = next_fast_len(samples + taps - 1, real=True)
    spectra = rfft(inputs, size)
    blocks = np.empty((count, taps, count, taps))
    for i in range(count):
        for j in range(i, count):
            correlation = irfft(spectra[i].conj() * spectra[j], size)
            behind = np.concatenate((correlation[:1], correlation[:-taps:-1]))
            blocks[i, :, j] = toeplitz(correlation[:taps], behind)
            blocks[j, :, i] = blocks[i, :, j].T
    targets = rfft(wanted.reshape(-1, samples), size)
    products = irfft(spectra[:, None].conj() * targets, size)[..., :taps]
    return blocks, products.reshape(count, *wanted.shape[:-1], taps)


def _filters(blocks: Signals, products: Signals) -> Signals:
    """The filters whose sum of outputs comes closest to what is wanted, over the whole length.

    Args:
        blocks: correlations of the inputs, see :func:`_correlations`.
        products: those with what is wanted.

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
    """Spectra (inputs, bins) by filters (sources, inputs, channels, bins), summed over inputs.

    Returns:
        (sources, channels, samples), as long as the transform.
    """
    return irfft(np.einsum("if,sicf->scf", spectra, filters), size)


def _ratio_db(signal: Signals, error: Signals) -> float:
    signal_energy, error_energy = np.sum(signal**2), np.sum(error**2)
    if error_energy == 0:
        return np.inf
    return float(10 * np.log10(signal_energy / error_energy))
