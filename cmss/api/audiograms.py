"""Checks the caller's audiograms, and prescribes the compressors for them."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from cmss.api.arguments import as_list, is_number, shortened
from cmss.errors import InputError
from cmss.hearing.prescription import COMPRESSOR_FREQUENCIES_HZ, compression_from_audiogram
from cmss.scenes import Audiogram, Compression, Ear, Listener, unusual_hearing

Levels = Sequence[float] | Mapping[float, float]
"""Hearing levels of an ear: a sequence in dB HL at the standard frequencies, or a dict from the
frequency in Hz to the level in dB HL."""

STANDARD_HZ = {
    6: COMPRESSOR_FREQUENCIES_HZ,
    8: (250.0, 500.0, 1000.0, 2000.0, 3000.0, 4000.0, 6000.0, 8000.0),
}
"""Number of levels -> their frequencies: octaves, and the frequencies of the challenge."""


def listener_of(audiogram: Any) -> Listener:
    """Return a listener with an audiogram and with the compressors prescribed for this audiogram.

    Raises:
        InputError: the audiogram does not have one of the forms that :func:`amplify` describes.
    """
    of_ears = [("audiogram", audiogram)] * 2
    if not isinstance(audiogram, Mapping):
        levels = as_list(audiogram)
        if levels is None:
            raise InputError(_expected_audiogram(audiogram))
        of_ears = [("audiogram", levels)] * 2
        if len(levels) == 2 and not any(map(is_number, levels)):
            of_ears = list(
                zip(("audiogram: left ear", "audiogram: right ear"), levels, strict=True)
            )
    left, right = (_ear(levels, name) for name, levels in of_ears)
    listener = Listener("listener", left, right)
    for warning in unusual_hearing([listener]):
        warnings.warn(warning, stacklevel=3)
    return listener


def _ear(levels: Any, name: str) -> Ear:
    if isinstance(levels, Mapping):
        if not levels or not all(map(is_number, levels)):
            keys = shortened(list(levels))
            raise InputError(f"{name}: expected frequencies in Hz as keys, got {keys}")
        frequencies_hz = tuple(sorted(float(key) for key in levels))
        by_hz = {float(key): level for key, level in levels.items()}
        values = [by_hz[hz] for hz in frequencies_hz]
    else:
        found = as_list(levels)
        if found is None:
            raise InputError(_expected_audiogram(levels, name))
        values = found
        if len(values) not in STANDARD_HZ:
            raise InputError(
                f"{name}: expected 6 levels (250, 500, 1000, 2000, 4000, 8000 Hz) or 8 levels "
                f"(3000 and 6000 Hz as well), or a dict {{frequency: level}}, got {len(values)}"
            )
        frequencies_hz = STANDARD_HZ[len(values)]
    for level in values:
        if not is_number(level):
            raise InputError(f"{name}: expected hearing levels in dB HL, got {shortened(level)}")
    levels_db = tuple(float(level) for level in values)
    try:
        compression = Compression(*compression_from_audiogram(frequencies_hz, levels_db))
    except InputError as error:
        # The lines begin with "audiogram frequencies" or "audiogram levels".
        raise InputError(
            f"{name}: {line.removeprefix('audiogram ')}" for line in error.problems
        ) from error
    return Ear(Audiogram(frequencies_hz, levels_db), compression)


def _expected_audiogram(got: Any, name: str = "audiogram") -> str:
    return (
        f"{name}: expected hearing levels in dB HL, a dict {{frequency: level}}, or one of these "
        f"for each ear, got {shortened(got)}"
    )
