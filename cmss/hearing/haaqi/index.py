"""Computes HAAQI and its components from the outputs of the ear model.

The index is that of Kates and Arehart (2016), "The Hearing-Aid Audio Quality Index (HAAQI)",
IEEE/ACM TASLP 24(2). The regression is that of the original program and of pyclarity. Some
publications describe the index by a different formula, a sum of three terms (docs/haaqi.md).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cmss.errors import InputError
from cmss.hearing.haaqi.cepstral import cepstral_correlation
from cmss.hearing.haaqi.ear_model import SILENCE_DB, EarOutputs, apply_ear_model
from cmss.hearing.haaqi.filterbank import BANDS, Array, audiometric_levels_db
from cmss.hearing.haaqi.front_end import (
    advance,
    at_model_rate,
    audible_part,
    bulk_delay,
    middle_ear,
    with_nalr,
)
from cmss.hearing.haaqi.loudness import audible_segments, spectral_differences
from cmss.hearing.haaqi.synchrony import SEGMENT, basilar_membrane_synchrony


@dataclass(frozen=True)
class Haaqi:
    """Holds the index and its components; the best value of each field is 1.

    Attributes:
        score: the index.
        nonlinear: 0.754 cepstral_correlation^3 + 0.246 bm_synchrony.
        linear: 0.329 d_loud + 0.671 d_norm.
        cepstral_correlation: similarity of the envelope modulations from 20 to 125 Hz.
        bm_synchrony: similarity of the temporal fine structure.
        d_loud: similarity of the long-term spectra in loudness.
        d_norm: similarity of the long-term spectra relative to the loudness of each band.
    """

    score: float
    nonlinear: float
    linear: float
    cepstral_correlation: float
    bm_synchrony: float
    d_loud: float
    d_norm: float


def compute_haaqi(
    processed_signal: ArrayLike,
    reference_signal: ArrayLike,
    processed_sample_rate: float,
    reference_sample_rate: float,
    audiogram: object,
    equalisation: int = 1,
    level1: float = 65.0,
) -> float:
    """Compute the HAAQI of a processed signal, with the arguments of pyclarity's `compute_haaqi`.

    This function and pyclarity's function return the same score if NumPy's global generator has the
    same state before both calls. Both functions draw the same number of normal deviates from the
    generator.

    Args:
        processed_signal: processed signal of one ear, an array of shape (samples,).
        reference_signal: reference without noise and distortion, an array of shape (samples,).
        processed_sample_rate: sampling rate of the processed signal in Hz.
        reference_sample_rate: sampling rate of the reference in Hz.
        audiogram: a `cmss.scenes.Audiogram` or pyclarity's `Audiogram`.
        equalisation: 1 to amplify the reference by NAL-R; 2 for a reference that is already
            amplified.
        level1: level in dB SPL of a signal whose root mean square is 1.

    Returns:
        The index. The index is NaN if the reference is silent throughout, or if a signal, a level
        or the audiogram is not finite. If the index is NaN, no deviates are drawn. The index is 1
        if both signals are empty, and 0 if only the reference is empty.

    Raises:
        InputError: the shape of a signal is not (samples,), less than 16 ms of the signals can be
            compared, or `equalisation` is neither 1 nor 2.
    """
    if np.size(reference_signal) == 0:
        return 1.0 if np.size(processed_signal) == 0 else 0.0
    return haaqi_components(
        processed_signal,
        reference_signal,
        processed_sample_rate,
        reference_sample_rate,
        audiogram,
        equalisation,
        level1,
    ).score


def haaqi_components(
    processed_signal: ArrayLike,
    reference_signal: ArrayLike,
    processed_sample_rate: float,
    reference_sample_rate: float,
    audiogram: object,
    equalisation: int = 1,
    level1: float = 65.0,
) -> Haaqi:
    """Compute HAAQI and its components with the arguments of `compute_haaqi`."""
    (result,) = haaqi_of_several(
        [processed_signal],
        reference_signal,
        processed_sample_rate,
        reference_sample_rate,
        audiogram,
        equalisation,
        level1,
    )
    return result


def haaqi_of_several(
    processed_signals: Sequence[ArrayLike],
    reference_signal: ArrayLike,
    processed_sample_rate: float,
    reference_sample_rate: float,
    audiogram: object,
    equalisation: int = 1,
    level1: float = 65.0,
) -> list[Haaqi]:
    """Compute HAAQI of several signals with the same reference.

    Each signal is compared with the audible segment of the reference. If a signal is shorter than
    the reference, the end of the reference is ignored. Therefore, signals of different lengths may
    be compared with different segments of the reference. The ear model is applied only once to each
    segment of the reference.

    NumPy's global generator has the same state before each signal is scored. Therefore, each signal
    gets the same score as in a call with only this signal and the same state. At the end, the state
    of the generator is the same as if only the last signal had been scored.

    Args:
        processed_signals: processed signals of one ear, arrays of shape (samples,).
        reference_signal: reference without noise and distortion, an array of shape (samples,).
        processed_sample_rate: sampling rate of all processed signals in Hz.
        reference_sample_rate: sampling rate of the reference in Hz.
        audiogram, equalisation, level1: see `compute_haaqi`.

    Returns:
        The index and the components of each processed signal, in the order of the signals.

    Raises:
        InputError: see `compute_haaqi`.
    """
    if equalisation not in (1, 2):
        raise InputError(
            "equalisation: expected 1 (reference without NAL-R) or 2 (reference with NAL-R), "
            f"got {equalisation}"
        )
    levels_db = audiometric_levels_db(audiogram)
    reference = at_model_rate(_checked(reference_signal), reference_sample_rate)
    defined = bool(np.isfinite([level1, *levels_db]).all())
    aligned: list[Array] = []
    # The keys are the start and the stop of a segment of the reference. The values are the indices
    # of the signals that are compared with this segment.
    stretches: dict[tuple[int, int], list[int]] = {}
    for number, signal in enumerate(processed_signals):
        processed = at_model_rate(_checked(signal), processed_sample_rate)
        stretch, copy = _aligned(reference, processed) if defined else _UNDEFINED
        aligned.append(copy)
        stretches.setdefault(stretch, []).append(number)

    results: dict[int, Haaqi] = {}
    state = np.random.get_state()
    # The segment of the reference that belongs to the last signal is used last, so that the
    # generator gets the state after the last signal.
    for (start, stop), numbers in sorted(stretches.items(), key=lambda item: item[1][-1]):
        np.random.set_state(state)
        original = reference[start:stop]
        if equalisation == 1:
            original = with_nalr(original, levels_db)
        copies = [middle_ear(aligned[number]) for number in numbers]
        results |= zip(
            numbers, _compare(middle_ear(original), copies, levels_db, level1), strict=True
        )
    return [results[number] for number in range(len(aligned))]


_UNDEFINED: tuple[tuple[int, int], Array] = (0, 0), np.empty(0)
"""Result of `_aligned` if the comparison is not defined and the score is NaN.

The result consists of an empty segment of the reference and an empty signal.
"""


def _checked(signal: ArrayLike) -> Array:
    """Return a signal in float64, or raise an InputError if its shape is not (samples,)."""
    samples = np.asarray(signal, dtype=np.float64)
    if samples.ndim != 1:
        raise InputError(f"HAAQI: expected signals of one ear, (samples,), got {samples.shape}")
    return samples


def _aligned(reference: Array, processed: Array) -> tuple[tuple[int, int], Array]:
    """Align the processed signal, and cut this signal to the audible segment of the reference.

    Returns:
        Start and stop of the audible segment, and the aligned processed signal in this segment; or
        `_UNDEFINED` if the comparison is not defined.
    """
    samples = min(len(reference), len(processed))
    if not (np.isfinite(reference[:samples]).all() and np.isfinite(processed[:samples]).all()):
        return _UNDEFINED
    stretch = audible_part(reference[:samples])
    if stretch is None:
        return _UNDEFINED
    if stretch.stop - stretch.start < SEGMENT:
        raise InputError("HAAQI: less than 16 ms of audible reference to compare with")
    copy = processed[:samples].copy()
    advance(copy, bulk_delay(reference[:samples], copy))
    return (stretch.start, stretch.stop), copy[stretch]


def _compare(original: Array, copies: list[Array], levels_db: Array, level1: float) -> list[Haaqi]:
    """Return the index and its components for each processed signal.

    Args:
        original: the reference, an array of shape (samples,).
        copies: processed signals, arrays of shape (samples,).
        levels_db: hearing levels at the audiometric frequencies, an array of shape (6,).
        level1: level in dB SPL of a signal whose root mean square is 1.
    """
    if not len(original):
        return [Haaqi(*[math.nan] * 7) for _ in copies]
    outputs = apply_ear_model(original, copies, levels_db, level1)
    audible = audible_segments(outputs[0].reference_envelope_db, SILENCE_DB)
    if np.count_nonzero(audible) > 1:
        # The original program draws noise for the cepstra and multiplies it by 0. The noise is
        # drawn here as well, so that the generator gets the same state.
        np.random.standard_normal(2 * BANDS * np.count_nonzero(audible))
    return [_index(copy, audible) for copy in outputs]


def _index(outputs: EarOutputs, audible: NDArray[np.bool_]) -> Haaqi:
    """Compute the index and its components from the outputs of the ear model.

    The bool array `audible` (segments,) is true for audible segments.
    """
    cepstral = 0.0
    if np.count_nonzero(audible) > 1:
        cepstral = cepstral_correlation(
            outputs.reference_envelope_db[:, audible], outputs.processed_envelope_db[:, audible]
        )
    synchrony = basilar_membrane_synchrony(
        outputs.motion_covariance, outputs.motion_level_db, SILENCE_DB
    )
    absolute, relative = spectral_differences(
        outputs.reference_spectrum_db, outputs.processed_spectrum_db
    )
    d_loud = float(np.clip(1.0 - absolute / 2.5, 0.0, 1.0))
    d_norm = float(np.clip(1.0 - relative / 25.0, 0.0, 1.0))
    score, nonlinear, linear = _regression(cepstral, synchrony, d_loud, d_norm)
    return Haaqi(score, nonlinear, linear, cepstral, synchrony, d_loud, d_norm)


def _regression(
    cepstral_correlation: float, bm_synchrony: float, d_loud: float, d_norm: float
) -> tuple[float, float, float]:
    """Compute the index, its nonlinear term and its linear term from the four components.

    The coefficients are those of Kates and Arehart (2016) in the original program.
    """
    nonlinear = 0.754 * cepstral_correlation**3 + 0.246 * bm_synchrony
    linear = 0.329 * d_loud + 0.671 * d_norm
    score = 0.336 * nonlinear + 0.001 * linear + 0.501 * nonlinear**2 + 0.161 * linear**2
    return score, nonlinear, linear
