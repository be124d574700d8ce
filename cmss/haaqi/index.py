"""HAAQI itself: components out of what two signals leave behind the ear, the index out of those.

Kates and Arehart (2016), "The Hearing-Aid Audio Quality Index (HAAQI)", IEEE/ACM Trans. Audio,
Speech, Lang. Process. 24(2). The regression is that of the original program and of pyclarity; it is
not the sum of three terms as which the index is sometimes described (docs/haaqi.md).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cmss.errors import InputError
from cmss.haaqi.cepstral import audible_segments, cepstral_correlation
from cmss.haaqi.ear_model import SILENCE_DB, Heard, hear
from cmss.haaqi.filterbank import BANDS, Array, audiometric_levels_db
from cmss.haaqi.front_end import (
    advance,
    at_model_rate,
    audible_part,
    bulk_delay,
    middle_ear,
    with_nalr,
)
from cmss.haaqi.loudness import spectral_differences
from cmss.haaqi.synchrony import SEGMENT, basilar_membrane_synchrony


@dataclass(frozen=True)
class Haaqi:
    """The index and what it is made of; 1 is perfect in each.

    Attributes:
        score: the index.
        nonlinear: 0.754 cepstral_correlation^3 + 0.246 bm_synchrony.
        linear: 0.329 d_loud + 0.671 d_norm.
        cepstral_correlation: how the envelopes' modulations from 20 to 125 Hz follow.
        bm_synchrony: how the fine structure follows.
        d_loud: how the long-term spectrum follows, in loudness.
        d_norm: the same, relative to each band's loudness.
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
    """HAAQI of a processed signal; takes what pyclarity's function of this name takes.

    The score equals pyclarity's at the same state of NumPy's global generator, from which the same
    number of deviates is drawn.

    Args:
        processed_signal: (samples,), one ear's.
        reference_signal: (samples,), free of noise and distortion.
        processed_sample_rate: in Hz.
        reference_sample_rate: in Hz.
        audiogram: `cmss.scenes.Audiogram`, or pyclarity's.
        equalisation: 1 amplifies the reference by NAL-R; 2 says that it is amplified already.
        level1: dB SPL of a signal whose root mean square is 1.

    Returns:
        The index. NaN for a reference that is silent all through, and for a signal, level or
        audiogram that is not finite; then nothing is drawn. Two empty signals score 1, an empty
        reference alone scores 0.

    Raises:
        InputError: a signal that is not (samples,), less than 16 ms to compare, or an equalisation
            other than 1 and 2.
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
    """As `compute_haaqi`, with the components beside the index."""
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
    """Score several signals against one reference, whose hearing is computed once.

    Each is scored with the deviates that it would get alone: the generator's state at entry counts
    for every signal, and the state afterwards is that which the last one alone would leave. So

        np.random.seed(seed); a, b = haaqi_of_several([x, y], reference, ...)

    equals seeding and scoring x, then seeding again and scoring y. Signals that leave a different
    stretch of the reference to compare with (shorter ones) make it be heard anew.

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
    stretches: dict[tuple[int, int], list[int]] = {}
    for number, signal in enumerate(processed_signals):
        processed = at_model_rate(_checked(signal), processed_sample_rate)
        stretch, copy = _aligned(reference, processed) if defined else _NOTHING
        aligned.append(copy)
        stretches.setdefault(stretch, []).append(number)

    results: dict[int, Haaqi] = {}
    state = np.random.get_state()
    # The stretch of the last signal comes last, so that its state of the generator remains.
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


_NOTHING: tuple[tuple[int, int], Array] = (0, 0), np.empty(0)


def _checked(signal: ArrayLike) -> Array:
    samples = np.asarray(signal, dtype=np.float64)
    if samples.ndim != 1:
        raise InputError(f"HAAQI: expected signals of one ear, (samples,), got {samples.shape}")
    return samples


def _aligned(reference: Array, processed: Array) -> tuple[tuple[int, int], Array]:
    """Start and stop of the reference's audible stretch, and what was made from that stretch.

    Nothing if the comparison is not defined.
    """
    samples = min(len(reference), len(processed))
    if not (np.isfinite(reference[:samples]).all() and np.isfinite(processed[:samples]).all()):
        return _NOTHING
    stretch = audible_part(reference[:samples])
    if stretch is None:
        return _NOTHING
    if stretch.stop - stretch.start < SEGMENT:
        raise InputError("HAAQI: less than 16 ms of audible reference to compare with")
    copy = processed[:samples].copy()
    advance(copy, bulk_delay(reference[:samples], copy))
    return (stretch.start, stretch.stop), copy[stretch]


def _compare(original: Array, copies: list[Array], levels_db: Array, level1: float) -> list[Haaqi]:
    """Components and index of each copy (samples,) beside the original (samples,)."""
    if not len(original):
        return [Haaqi(*[math.nan] * 7) for _ in copies]
    heard = hear(original, copies, levels_db, level1)
    audible = audible_segments(heard[0].reference_envelope_db, SILENCE_DB)
    if np.count_nonzero(audible) > 1:
        # The original's noise in the cepstra, at gain zero: only the generator's state remains.
        np.random.standard_normal(2 * BANDS * np.count_nonzero(audible))
    return [_index(copy, audible) for copy in heard]


def _index(heard: Heard, audible: NDArray[np.bool_]) -> Haaqi:
    cepstral = 0.0
    if np.count_nonzero(audible) > 1:
        cepstral = cepstral_correlation(
            heard.reference_envelope_db[:, audible], heard.processed_envelope_db[:, audible]
        )
    synchrony = basilar_membrane_synchrony(
        heard.motion_covariance, heard.motion_level_db, SILENCE_DB
    )
    absolute, relative = spectral_differences(
        heard.reference_spectrum_db, heard.processed_spectrum_db
    )
    d_loud = float(np.clip(1.0 - absolute / 2.5, 0.0, 1.0))
    d_norm = float(np.clip(1.0 - relative / 25.0, 0.0, 1.0))
    score, nonlinear, linear = regression(cepstral, synchrony, d_loud, d_norm)
    return Haaqi(score, nonlinear, linear, cepstral, synchrony, d_loud, d_norm)


def regression(
    cepstral_correlation: Any, bm_synchrony: Any, d_loud: Any, d_norm: Any
) -> tuple[Any, Any, Any]:
    """Index, nonlinear and linear model out of the four components, floats or tensors."""
    nonlinear = 0.754 * cepstral_correlation**3 + 0.246 * bm_synchrony
    linear = 0.329 * d_loud + 0.671 * d_norm
    score = 0.336 * nonlinear + 0.001 * linear + 0.501 * nonlinear**2 + 0.161 * linear**2
    return score, nonlinear, linear
