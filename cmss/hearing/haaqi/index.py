"""HAAQI: its components from the outputs of the ear model for both signals, and the index.

Kates and Arehart (2016), "The Hearing-Aid Audio Quality Index (HAAQI)", IEEE/ACM Trans. Audio,
Speech, Lang. Process. 24(2). The regression is that of the original program and of pyclarity. It
differs from the sum of three terms by which the index is sometimes described (docs/haaqi.md).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
    """The index and its components; 1 is the best value of each.

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

    If NumPy's global generator is in the same state, the score equals pyclarity's. The same number
    of normal deviates is drawn from the generator.

    Args:
        processed_signal: (samples,), of one ear.
        reference_signal: (samples,), free of noise and distortion.
        processed_sample_rate: in Hz.
        reference_sample_rate: in Hz.
        audiogram: `cmss.scenes.Audiogram`, or pyclarity's.
        equalisation: 1 amplifies the reference by NAL-R; 2 expects a reference that is already
            amplified.
        level1: dB SPL of a signal whose root mean square is 1.

    Returns:
        The index. NaN if the reference is silent throughout, or if a signal, level or audiogram is
        not finite; then no deviates are drawn. Two empty signals score 1; an empty reference with a
        processed signal that is not empty scores 0.

    Raises:
        InputError: a signal is not (samples,), less than 16 ms of it can be compared, or
            `equalisation` is neither 1 nor 2.
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
    """Compute HAAQI and its components; arguments as for `compute_haaqi`."""
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
    """Score several signals against one reference, and run the ear model on the reference once.

    Every signal is scored from the generator's state at entry. Afterwards the generator has the
    state that scoring the last signal alone would leave. So

        np.random.seed(seed); a, b = haaqi_of_several([x, y], reference, ...)

    equals seeding and scoring x, then seeding again and scoring y. If signals have different
    lengths, they may be compared with different parts of the reference; the ear model then runs
    once for each part.

    Args:
        processed_signals: each (samples,).
        reference_signal: and the rest as for `compute_haaqi`.
        processed_sample_rate: of all of them, in Hz.
        reference_sample_rate: in Hz.
        audiogram: as for `compute_haaqi`.
        equalisation: as for `compute_haaqi`.
        level1: as for `compute_haaqi`.

    Raises:
        InputError: as for `compute_haaqi`.
    """
    if equalisation not in (1, 2):
        raise InputError(f"equalisation: expected 1 (add NAL-R) or 2 (done), got {equalisation}")
    levels_db = audiometric_levels_db(audiogram)
    reference = at_model_rate(_checked(reference_signal), reference_sample_rate)
    defined = bool(np.isfinite([level1, *levels_db]).all())
    aligned: list[Array] = []
    # Start and stop of a part of the reference -> numbers of the signals compared with it.
    stretches: dict[tuple[int, int], list[int]] = {}
    for number, signal in enumerate(processed_signals):
        processed = at_model_rate(_checked(signal), processed_sample_rate)
        stretch, copy = _aligned(reference, processed) if defined else _UNDEFINED
        aligned.append(copy)
        stretches.setdefault(stretch, []).append(number)

    results: dict[int, Haaqi] = {}
    state = np.random.get_state()
    # The part of the reference for the last signal is scored last, so that the generator is left in
    # the state after that signal.
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
"""Empty part of the reference, and empty signal: the comparison is not defined, the score NaN."""


def _checked(signal: ArrayLike) -> Array:
    """Return a signal as (samples,) in float64, or refuse its shape."""
    samples = np.asarray(signal, dtype=np.float64)
    if samples.ndim != 1:
        raise InputError(f"HAAQI: expected signals of one ear, (samples,), got {samples.shape}")
    return samples


def _aligned(reference: Array, processed: Array) -> tuple[tuple[int, int], Array]:
    """Return start and stop of the reference's audible part, and the aligned signal within it.

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
    """Return index and components of each copy (samples,), compared with the original."""
    if not len(original):
        return [Haaqi(*[math.nan] * 7) for _ in copies]
    outputs = apply_ear_model(original, copies, levels_db, level1)
    audible = audible_segments(outputs[0].reference_envelope_db, SILENCE_DB)
    if np.count_nonzero(audible) > 1:
        # The original program draws noise for the cepstra here and multiplies it by 0. The draw is
        # repeated so that the generator is left in the same state.
        np.random.standard_normal(2 * BANDS * np.count_nonzero(audible))
    return [_index(copy, audible) for copy in outputs]


def _index(outputs: EarOutputs, audible: NDArray[np.bool_]) -> Haaqi:
    """Compute index and components; `audible` (segments,) marks the segments for the cepstra."""
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
    score, nonlinear, linear = regression(cepstral, synchrony, d_loud, d_norm)
    return Haaqi(score, nonlinear, linear, cepstral, synchrony, d_loud, d_norm)


def regression(
    cepstral_correlation: Any, bm_synchrony: Any, d_loud: Any, d_norm: Any
) -> tuple[Any, Any, Any]:
    """Return index, nonlinear and linear term from the four components, floats or tensors.

    Coefficients: Kates and Arehart (2016), as in the original program.
    """
    nonlinear = 0.754 * cepstral_correlation**3 + 0.246 * bm_synchrony
    linear = 0.329 * d_loud + 0.671 * d_norm
    score = 0.336 * nonlinear + 0.001 * linear + 0.501 * nonlinear**2 + 0.161 * linear**2
    return score, nonlinear, linear
