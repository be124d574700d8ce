"""Computes SDR, SIR and SAR of estimated stems by BSS Eval version 4, for spatial images.

Each estimate is decomposed into the reference and three errors (Vincent, Gribonval and Févotte,
IEEE Transactions on Audio, Speech and Language Processing 14(4), 2006):

    estimate = reference + spatial distortion + interference + artefacts

Two projections define the errors. The first projection is the best approximation of the estimate by
the filtered reference. A filter of 512 taps leads from each channel of the reference to each
channel of the estimate. The second projection is the best approximation of the estimate by the sum
of all filtered references. These filters have the same length. Then

    spatial distortion = first projection - reference
    interference = second projection - first projection
    artefacts = estimate - second projection

The filters are fitted once to the full signal. SDR, SIR and SAR are ratios of energies. The
energies are computed in frames of 1 s:

    SDR = reference / (spatial distortion + interference + artefacts)
    SIR = first projection / interference
    SAR = second projection / artefacts

Version 4 (Stöter, Liutkus and Ito, LVA/ICA 2018) with the median over frames is the usual measure
of music separation. As in museval 0.4.1, a frame in which any source is exactly silent is excluded
for all sources. If a source is silent in the complete signal, SDR, SIR and SAR of this source are
not defined. In this case, this module evaluates only the other sources of the track, whereas
museval raises an error.

This project has its own implementation, because museval cannot be imported without ffmpeg,
mir_eval drops its separation module in version 0.9, and fast_bss_eval does not support spatial
images. This implementation is several times as fast as museval (docs/speed.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len, rfft

from cmss.machine.compiled import compiled
from cmss.results.distortion_filters import fit_filters

Signals = NDArray[np.float64]
Spectra = NDArray[np.complex128]

TAPS = 512
"""Number of taps of the distortion filters."""
FRAME_S = 1.0
"""Length in seconds of the frames for which ratios are computed."""

# Number of frames that are processed at once, so that each frequency response is read from memory
# only once for several frames.
_FRAMES = 4

# Number of bins that are processed at once, so that their spectra stay in the fastest cache.
_BINS = 512


@dataclass(frozen=True)
class Ratios:
    """Holds SDR, SIR and SAR of a source in dB; each ratio is the median over frames.

    If the errors in the denominator of a ratio are zero, the ratio is infinite. If there is no
    frame in which all sources are audible, all ratios are NaN.
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
        Dict from the id of a source to the ratios of the source. Sources whose reference or
        estimate is completely silent are left out.

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
    """Compute SDR, SIR and SAR of each frame in dB.

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
    # Frequency responses, (sources, channels, inputs, bins).
    all_filters, own_filters = fit_filters(true, estimated, taps)
    responses = rfft(all_filters, size), rfft(own_filters, size)
    ratios = np.full((3, sources, samples // frame), np.nan)
    # The frames of all signals, (sources, channels, frames, frame).
    true, estimated = (
        signals[..., : ratios.shape[-1] * frame].reshape(sources, channels, -1, frame)
        for signals in (true, estimated)
    )
    audible = np.flatnonzero((np.any(true, (1, 3)) & np.any(estimated, (1, 3))).all(axis=0))
    for start in range(0, len(audible), _FRAMES):
        numbers = audible[start : start + _FRAMES]
        ours, theirs = true[:, :, numbers], estimated[:, :, numbers]
        energies = np.zeros((4, *ours.shape[::2]))
        _add_energies(_one_sided(ours, size), _one_sided(theirs, size), *responses, energies)
        first, interference, second, artefacts = energies
        ratios[:, :, numbers] = (
            _ratio_db(_squares(ours), _squares(theirs - ours)),
            _ratio_db(first, interference),
            _ratio_db(second, artefacts),
        )
    return ratios


def _one_sided(signals: Signals, size: int) -> Spectra:
    """Compute FFTs of `size` samples; the sum of |X|^2 over bins is proportional to the energy.

    Each bin represents a positive and a negative frequency, except the first bin and, if `size` is
    even, the last bin. Therefore, these two bins are divided by the square root of two.
    """
    spectra = rfft(signals, size)
    spectra[..., 0] *= np.sqrt(0.5)
    if size % 2 == 0:
        spectra[..., -1] *= np.sqrt(0.5)
    return spectra


@compiled(error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def _add_energies(
    true: Spectra,
    estimated: Spectra,
    all_responses: Spectra,
    own_responses: Spectra,
    energies: Signals,
) -> None:
    """Compute the energies of both projections, of the interference and of the artefacts.

    Energies are sums over the bins of the spectra (Parseval's theorem), so no inverse transform is
    needed.

    Args:
        true: spectra of the references, an array of shape (sources, channels, frames, bins), see
            :func:`_one_sided`.
        estimated: spectra of the estimates, of the same shape.
        all_responses: frequency responses of the filters from all references to the estimates, an
            array of shape (sources, channels, sources * channels, bins).
        own_responses: frequency responses of the filters from the reference of each source to the
            estimate of the same source, an array of shape (sources, channels, channels, bins).
        energies: array (4, sources, frames) to which the energies are added. The entries on the
            first axis are, in this order: the first projection, the interference, the second
            projection, and the artefacts.
    """
    sources, channels, frames, bins = true.shape
    for start in range(0, bins, _BINS):
        part = slice(start, start + _BINS)
        size = min(_BINS, bins - start)
        for s in range(sources):
            for c in range(channels):
                for frame in range(frames):
                    first, second = np.zeros(size, np.complex128), np.zeros(size, np.complex128)
                    for i in range(sources * channels):
                        spectrum = true[i // channels, i % channels, frame, part]
                        _add_product(all_responses[s, c, i, part], spectrum, second)
                    for i in range(channels):
                        _add_product(own_responses[s, c, i, part], true[s, i, frame, part], first)
                    # With one source, both projections are equal, and there is no interference.
                    if sources == 1:
                        first[:] = second
                    energies[0, s, frame] += _energy(first)
                    energies[1, s, frame] += _energy(second - first)
                    energies[2, s, frame] += _energy(second)
                    energies[3, s, frame] += _energy(estimated[s, c, frame, part] - second)


@compiled(error_model="numpy", fastmath={"contract"}, forceinline=True)
def _add_product(response: Spectra, spectrum: Spectra, total: Spectra) -> None:
    for n in range(total.size):
        total[n] += response[n] * spectrum[n]


@compiled(error_model="numpy", fastmath={"reassoc", "contract", "nsz"}, forceinline=True)
def _energy(spectrum: Spectra) -> float:
    total = 0.0
    for value in spectrum:
        total += value.real * value.real + value.imag * value.imag
    return total


def _squares(signals: Signals) -> Signals:
    """Compute the energies (sources, frames) of signals (sources, channels, frames, samples)."""
    return np.einsum("scnv,scnv->sn", signals, signals)


def _ratio_db(signal: Signals, error: Signals) -> Signals:
    """Compute the ratios of energies in dB; a ratio is infinite if the error is zero."""
    with np.errstate(divide="ignore"):
        return np.where(error == 0, np.inf, 10 * np.log10(signal / error))
