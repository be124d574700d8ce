"""Warns of unusual inputs: levels of mixtures, audiograms, and settings of hearing aids."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from cmss.audio import SHORTEST_LOUDNESS_S, loudness_lufs
from cmss.errors import InputError, noting
from cmss.quantities import FREQUENCY_HZ, HEARING_LEVEL_DB, MAKE_UP_GAIN_DB, RATIO, Quantity
from cmss.scenes.records import Listener, Track
from cmss.scenes.sound_files import SoundFiles

EXPECTED_LUFS = -40.0
"""Loudness of the challenge's mixtures, for which the compressor is designed."""


def level_warnings(tracks: Iterable[Track], sounds: SoundFiles) -> Iterator[str]:
    """Yield a warning for each mixture that is much softer or louder than :data:`EXPECTED_LUFS`.

    All mixtures are decoded, so damaged files are also found here.

    Args:
        tracks: tracks whose mixtures are examined.
        sounds: cache that reads the mixtures.

    Raises:
        InputError: mixtures cannot be decoded; the message has a line for each of these mixtures.
    """
    problems: list[str] = []
    for track in tracks:
        with noting(problems):
            mixture = sounds.excerpt(track.mixture)
            if warning := level_warning(track, mixture, sounds.sample_rate_hz):
                yield warning
    if problems:
        raise InputError(problems)


def level_warning(track: Track, mixture: NDArray[np.float32], sample_rate_hz: int) -> str | None:
    """Return a warning if a mixture is more than 3 LU softer or louder than :data:`EXPECTED_LUFS`.

    Args:
        track: track of the mixture; the warning contains the name of the track.
        mixture: waveform of the mixture, an array (2, samples).
        sample_rate_hz: sampling rate of the mixture.

    Returns:
        The warning; None if the loudness is as expected, or if the mixture is too short for a
        measurement of loudness.
    """
    if mixture.shape[-1] < SHORTEST_LOUDNESS_S * sample_rate_hz:
        return None
    lufs = loudness_lufs(mixture, sample_rate_hz)
    if abs(lufs - EXPECTED_LUFS) <= 3:
        return None
    return (
        f"{track.name}: the mixture has {lufs:.1f} LUFS, the compressor expects {EXPECTED_LUFS:g}"
    )


def unusual_hearing(listeners: Iterable[Listener]) -> Iterator[str]:
    """Yield a warning for each quantity, such as the compression ratio, that has unusual values.

    A single warning covers all listeners who have unusual values of this quantity.

    Args:
        listeners: listeners whose audiograms and compressors are examined.
    """
    found: dict[str, tuple[Quantity, dict[str, None], dict[float, None]]] = {}
    for listener in listeners:
        for name, quantity, values in _values(listener):
            if unusual := quantity.unusual(values):
                _, ids, all_values = found.setdefault(name, (quantity, {}, {}))
                ids[listener.id] = None
                all_values |= dict.fromkeys(unusual)
    for name, (quantity, ids, all_values) in found.items():
        who = ", ".join([*ids][:3]) + (", ..." if len(ids) > 3 else "")
        low, high = quantity.usual or (quantity.lowest, quantity.highest)
        got = ", ".join(f"{value:g}" for value in sorted(all_values)[:8])
        yield f"{who}: unusual {name}: {got}; usual are {low:g} to {high:g} {quantity.unit}"


def _values(listener: Listener) -> Iterator[tuple[str, Quantity, tuple[float, ...]]]:
    for ear in (listener.left, listener.right):
        yield "audiogram frequencies", FREQUENCY_HZ, ear.audiogram.frequencies_hz
        yield "audiogram levels", HEARING_LEVEL_DB, ear.audiogram.levels_db
        yield "compressor frequencies", FREQUENCY_HZ, ear.compression.frequencies_hz
        yield "compression ratios", RATIO, ear.compression.ratios
        yield "make-up gains", MAKE_UP_GAIN_DB, ear.compression.gains_db
