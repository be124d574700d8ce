"""Exchanges the estimates of two players of the same instrument if the second one is higher.

The networks are trained with the upper part as the part of the first of two such players. A
network follows the pitch only locally, and the directions of arrival separate the two players
without telling which of them is the first. Therefore, the estimates are sometimes exchanged from
the start to the end. The pitches of separated estimates show whether they are exchanged.

In shapes, K is the number of frames.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmss.audio import resample
from cmss.casa.correlogram import correlogram
from cmss.scenes import Source
from cmss.separators.protocol import Around, Stems

RATE_HZ = 22050
"""Sampling rate at which the pitch is measured."""
FRAME, HOP = 2048, 512
"""Length of a frame and distance between frames in samples at :data:`RATE_HZ`, 93 and 23 ms."""
LOWEST_HZ, HIGHEST_HZ = 55.0, 1800.0
"""Range of the pitch, which contains the ranges of all instruments of the challenge."""
PEAK = 0.9
"""Fraction of the highest peak of the autocorrelation. The period is at the first peak that reaches
this fraction (McLeod and Wyvill 2005, "A smarter way to find pitch", ICMC)."""
MARGIN_SEMITONES = 2.0
"""Estimates are exchanged only if the second player is higher by more than this interval. Smaller
intervals between poorly separated players are due to chance."""
CLARITY_POWER = 8
"""Exponent of the clarity in the weight of a frame, so that only clear pitches count."""

Samples = NDArray[np.float32]


@dataclass
class UpperFirst(Around):
    """Wrapper that exchanges the estimates of two players of the same instrument if necessary.

    The estimates are exchanged if the second player is higher than the first one by more than
    :data:`MARGIN_SEMITONES`.
    """

    def separate(self, mixture: Samples, sources: Mapping[str, Source]) -> Stems:
        """See :class:`cmss.separators.protocol.Separator`."""
        stems = self.separator.separate(mixture, sources)
        players: dict[str, dict[int | None, str]] = {}
        for key in stems:
            players.setdefault(sources[key].instrument, {})[sources[key].voice] = key
        for keys in players.values():
            if {1, 2} <= keys.keys():
                first, second = keys[1], keys[2]
                higher = interval(stems[second], stems[first], self.sample_rate_hz)
                if higher > MARGIN_SEMITONES:
                    stems[first], stems[second] = stems[second], stems[first]
        return stems


def interval(one: Samples, other: Samples, rate_hz: int) -> float:
    """Return by how many semitones one signal (2, samples) is higher than another one.

    The result is a mean over frames. The weight of a frame is the geometric mean of both levels,
    multiplied by powers of both clarities. If the signals are never heard together, the result is
    0.
    """
    (pitch, clarity, level), (pitch_2, clarity_2, level_2) = (
        pitches(resample(signal.mean(0), rate_hz, RATE_HZ)) for signal in (one, other)
    )
    weight = (clarity * clarity_2) ** CLARITY_POWER * np.sqrt(level * level_2)
    total = weight.sum()
    return float((weight * (pitch - pitch_2)).sum() / total) if total > 0 else 0.0


def pitches(signal: Samples) -> tuple[NDArray[np.floating], ...]:
    """Measure the pitch of each frame of a signal (samples,) at :data:`RATE_HZ`.

    The period is a peak of the autocorrelation of the frame (Boersma 1993, "Accurate short-term
    analysis of the fundamental frequency and the harmonics-to-noise ratio of a sampled sound", IFA
    Proceedings 17).

    Returns:
        Arrays of shape (K,): the pitch as a MIDI number, the clarity from 0 to 1, and the RMS
        level. The clarity is the highest peak of the autocorrelation; it is 0 without any peak.
    """
    shortest, longest = int(RATE_HZ / HIGHEST_HZ), int(RATE_HZ / LOWEST_HZ)
    (correlation,) = correlogram(signal[np.newaxis], FRAME, HOP, longest + 2)  # (K, lags)
    power = correlation[:, :1].clip(0)
    curve = correlation[:, shortest - 1 :] / np.where(power > 0, power, 1)
    middle = curve[:, 1:-1]
    peaks = (middle > curve[:, :-2]) & (middle >= curve[:, 2:])
    highest = np.where(peaks, middle, 0).max(1)  # (K,)
    high = peaks & (middle >= PEAK * highest[:, None])
    period = shortest + high.argmax(1)
    clarity = np.where(high.any(1), highest.clip(0, 1), 0)
    return 69 + 12 * np.log2(RATE_HZ / period / 440), clarity, np.sqrt(power[:, 0])
