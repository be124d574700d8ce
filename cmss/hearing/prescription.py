"""Prescribes compressor parameters from an audiogram by the rule of the challenge.

The rule is CAMFIT, the Cambridge rule for compressive hearing aids (Moore, Glasberg and Stone 1999,
British Journal of Audiology 33). The code of the rule is pyclarity's translation of openMHA's code.
The rule prescribes an insertion gain for each fitting band and input level. The make-up gain and
the compression ratio of each compressor band are computed from the insertion gains. The compressor
has six bands.

The make-up gain is the insertion gain for an input of 65 dB, the presentation level of the
challenge. The compression ratio is 30 dB divided by the increase of the output level when the input
level increases from 55 to 85 dB. The ratio is limited to the range from 1:1 to 6:1.

The make-up gain and the compression ratio are interpolated linearly between the fitting bands. The
parameters of the highest band are the parameters at 6 kHz. An early version of the challenge's code
has the same rule. The challenge's method of rounding is not published. In this module, the gains at
55 and 85 dB are rounded to 0.1 dB, and the results are truncated to one decimal place. This method
reproduces the only published example of the parameters. With rounding instead of truncation, three
of the twelve numbers would differ from the example by 0.1.
"""

from collections.abc import Sequence

import numpy as np
from clarity.enhancer.gha.gha_utils import get_gaintable
from clarity.utils.audiogram import Audiogram

from cmss.errors import InputError
from cmss.quantities import FREQUENCY_HZ, HEARING_LEVEL_DB

COMPRESSOR_FREQUENCIES_HZ = (250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)


def compression_from_audiogram(
    frequencies_hz: Sequence[float], levels_db: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Prescribe the six-band compressor of an ear.

    Args:
        frequencies_hz: audiometric frequencies, ascending.
        levels_db: hearing thresholds in dB HL at these frequencies.

    Returns:
        Three tuples with six values each: frequencies of the bands in Hz, compression ratios, and
        make-up gains in dB.

    Raises:
        InputError: frequencies or levels are out of range, for example frequencies in kHz.
    """
    refusals = {
        "audiogram frequencies": FREQUENCY_HZ.refusal(frequencies_hz),
        "audiogram levels": HEARING_LEVEL_DB.refusal(levels_db),
    }
    if problems := [f"{name}: {refusal}" for name, refusal in refusals.items() if refusal]:
        raise InputError(problems)
    ear = Audiogram(levels=np.asarray(levels_db, float), frequencies=np.asarray(frequencies_hz))
    table = get_gaintable(
        ear,
        ear,
        noisegate_levels=45.0,  # reduces the gain below 45 dB; only inputs above 45 dB are used
        noisegate_slope=1.0,
        cr_level=0.0,  # compression in each band follows the level of speech in this band
        max_output_level=100.0,
    )
    gains_db = table["sGt_uncorr"][:, :, 0]  # (input levels, fitting bands)
    at = {int(level): gains for level, gains in zip(table["levels"], gains_db, strict=True)}
    rise_db = 85 - 55 + np.round(at[85], 1) - np.round(at[55], 1)
    ratios = np.clip((85 - 55) / np.maximum(rise_db, 1e-9), 1.0, 6.0)

    def in_bands(values: np.ndarray) -> tuple[float, ...]:
        # The values of the highest band are those at 6 kHz.
        bands_hz = (*COMPRESSOR_FREQUENCIES_HZ[:-1], 6000.0)
        truncated = np.floor(np.interp(bands_hz, table["frequencies"], values) * 10 + 1e-6) / 10
        return tuple(float(value) for value in truncated)

    return COMPRESSOR_FREQUENCIES_HZ, in_bands(ratios), in_bands(at[65])
