"""Audiogram -> compressor parameters: the challenge's prescription.

CAMFIT, the Cambridge rule for compressive hearing aids (Moore, Glasberg and Stone, Br. J. Audiol.
33, 1999, pp. 157-170), in pyclarity's translation from openMHA. The rule gives an insertion gain
per fitting band and input level; the six bands of the compressor get

- the gain prescribed at 65 dB input, the presentation level of the challenge's music;
- the ratio 30 / (rise of the output from 55 to 85 dB input), at least 1:1 and at most 6:1,

both interpolated linearly between the fitting bands, the top one read at 6 kHz as in an early
version of the challenge's code. How it rounded is not published: outputs rounded to 0.1 dB and
results cut to one decimal place are inferred from the one published example, which comes out so.
Rounding to the nearest instead would differ from it by 0.1 in three of its twelve numbers.
"""

from collections.abc import Sequence

import numpy as np
from clarity.enhancer.gha.gha_utils import get_gaintable
from clarity.utils.audiogram import Audiogram

from cmss.errors import InputError
from cmss.quantities import FREQUENCY_HZ, HEARING_LEVEL_DB

COMPRESSOR_FREQUENCIES_HZ = (250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
MAXIMUM_RATIO = 6.0
PRESENTATION_LEVEL_DB = 65
RATIO_LEVELS_DB = (55, 85)

_FITTED_AT_HZ = (250.0, 500.0, 1000.0, 2000.0, 4000.0, 6000.0)
_MAXIMUM_OUTPUT_DB = 100.0
# Below 45 dB input the fitting tapers the gain off; no level used here is that low.
_NOISE_GATE_DB = 45.0
_NOISE_GATE_SLOPE = 1.0


def compression_from_audiogram(
    frequencies_hz: Sequence[float], levels_db: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Prescribe the six-band compressor of one ear.

    Args:
        frequencies_hz: audiometric frequencies, ascending.
        levels_db: hearing thresholds there, dB HL.

    Returns:
        Band frequencies in Hz, compression ratios and make-up gains in dB, six of each.

    Raises:
        InputError: frequencies or levels that no audiometer has, such as frequencies in kHz.
    """
    refusals = {
        "audiogram frequencies": FREQUENCY_HZ.refusal(frequencies_hz),
        "audiogram levels": HEARING_LEVEL_DB.refusal(levels_db),
    }
    if problems := [f"{name}: {refusal}" for name, refusal in refusals.items() if refusal]:
        raise InputError(problems)
    ear = Audiogram(levels=np.asarray(levels_db, float), frequencies=np.asarray(frequencies_hz))
    # No cr_level: the compression of each band follows from its own speech level.
    table = get_gaintable(ear, ear, _NOISE_GATE_DB, _NOISE_GATE_SLOPE, 0.0, _MAXIMUM_OUTPUT_DB)
    gains_db = table["sGt_uncorr"][:, :, 0]  # (input levels, fitting bands)
    at = {int(level): gains for level, gains in zip(table["levels"], gains_db, strict=True)}
    low, high = RATIO_LEVELS_DB
    rise_db = high - low + np.round(at[high], 1) - np.round(at[low], 1)
    ratios = np.clip((high - low) / np.maximum(rise_db, 1e-9), 1.0, MAXIMUM_RATIO)

    def in_bands(values: np.ndarray) -> tuple[float, ...]:
        cut = np.floor(np.interp(_FITTED_AT_HZ, table["frequencies"], values) * 10 + 1e-6) / 10
        return tuple(float(value) for value in cut)

    return COMPRESSOR_FREQUENCIES_HZ, in_bands(ratios), in_bands(at[PRESENTATION_LEVEL_DB])
