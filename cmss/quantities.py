"""Defines the ranges of the quantities that a user enters, and common mistakes in their units.

For example, a user who enters a frequency of 0.25 Hz almost certainly means 0.25 kHz. If a hearing
level is entered at the wrong frequency, the hearing aid amplifies far too much. Each quantity has a
possible range and a usual range. Values outside the possible range are refused, and the message
names the likely mistake. Values outside the usual range cause a warning.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """A common mistake in the unit or the sign of a value.

    Args:
        looks_like: unit or form of the wrong value.
        expected: unit or form of the correct value.
        correct: function that computes the correct value from the wrong value.
    """

    looks_like: str
    expected: str
    correct: Callable[[float], float]


@dataclass(frozen=True)
class Quantity:
    """A quantity with its unit, its possible range and its usual range.

    Args:
        unit: unit of the quantity, for messages.
        lowest: lowest possible value.
        highest: highest possible value.
        usual: lowest and highest value that cause no warning; None if no possible value causes a
            warning.
        mistakes: likely mistakes that explain an impossible value.
    """

    unit: str
    lowest: float
    highest: float
    usual: tuple[float, float] | None = None
    mistakes: tuple[Mistake, ...] = ()

    def refusal(self, values: Iterable[float]) -> str | None:
        """Return an error message for impossible values; None if all values are possible."""
        bad = self._impossible(values)
        return f"{self.expectation(bad)}, got {_listed(bad)}" if bad else None

    def expectation(self, values: Iterable[float]) -> str | None:
        """Return the message of :meth:`refusal` without the list of impossible values."""
        bad = self._impossible(values)
        if not bad:
            return None
        for mistake in self.mistakes:
            corrected = [mistake.correct(value) for value in bad]
            # A mistake is likely if its correction makes all these values possible.
            if not self._impossible(corrected):
                looks = "looks" if len(bad) == 1 else "look"
                expected = f"{mistake.expected}: {_listed(corrected)}"
                return f"{looks} like {mistake.looks_like}, expected {expected}"
        return f"expected {self.lowest:g} to {self.highest:g} {self.unit}"

    def _impossible(self, values: Iterable[float]) -> list[float]:
        return [value for value in values if not self.lowest <= value <= self.highest]

    def unusual(self, values: Iterable[float]) -> list[float]:
        """Return the values outside the usual range, without repetitions."""
        low, high = self.usual or (self.lowest, self.highest)
        return list(dict.fromkeys(value for value in values if not low <= value <= high))


def _listed(values: Sequence[float], most: int = 8) -> str:
    shown = ", ".join(f"{value:.6g}" for value in values[:most])
    return f"{shown}, ..." if len(values) > most else shown


KHZ = Mistake("kHz", "Hz", lambda value: value * 1000)

FREQUENCY_HZ = Quantity("Hz", 50, 20000, (125, 16000), (KHZ,))
"""Frequency in an audiogram, or centre frequency of a band of the compressor. Audiometers measure
from 125 Hz to 8 kHz; extended high-frequency audiometry reaches 16 or 20 kHz (IEC 60645-1)."""

HEARING_LEVEL_DB = Quantity(
    "dB HL",
    -20,
    130,
    (-10, 120),
    (Mistake("losses with the sign reversed", "positive dB HL", lambda value: -value),),
)
"""Hearing threshold in an audiogram. Audiometers present -10 to 120 dB HL (IEC 60645-1)."""

RATIO = Quantity(
    "(2 for 2:1)",
    0.5,
    1000,
    (1, 20),
    (Mistake("output over input", "input over output", lambda value: 1 / value if value else 0.0),),
)
"""Compression ratio of the compressor. A ratio below 1 expands; a ratio from 20 on limits."""

MAKE_UP_GAIN_DB = Quantity("dB", -40, 80, (-20, 50))
"""Gain of a band of the compressor. The challenge prescribes gains below 36 dB; the most powerful
hearing aids amplify by 80 dB."""

PLAYER_GAIN_DB = Quantity("dB", -200, 200)
"""Gain of a player in a remix. The range is much wider than needed, but avoids overflows."""

MUTED_DB = -100.0
"""Gain in dB at which a player is inaudible, because the dynamic range of 16 bits is 96 dB."""

CROSSOVER_HZ = Quantity("Hz", 20, 96000, mistakes=(KHZ,))
"""Frequency of the edge between two bands of a hearing aid."""

_SECONDS = Mistake("seconds", "ms", lambda value: value * 1000)
ATTACK_MS = Quantity("ms", 0.02, 1e7, mistakes=(_SECONDS,))
"""Attack time of the compressor. At 44.1 kHz, the sampling interval is 0.023 ms. The challenge uses
attack times of at least 11 ms."""
RELEASE_MS = Quantity("ms", 0.5, 1e7, mistakes=(_SECONDS,))
"""Release time of the compressor. The challenge uses release times of at least 80 ms."""


def _common_rate(rate_khz: float) -> float:
    """Convert a sampling rate from kHz to Hz, and correct a truncated rate.

    If one of the usual sampling rates is above the given rate by less than 1 %, the usual rate is
    returned. For example, 44 kHz gives 44100 Hz.
    """
    rate_hz = rate_khz * 1000
    common = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 192000)
    return next((rate for rate in common if rate_hz < rate < 1.01 * rate_hz), rate_hz)


SAMPLE_RATE_HZ = Quantity("Hz", 8000, 192000, mistakes=(Mistake("kHz", "Hz", _common_rate),))
"""Sampling rate in the configuration; the range extends from telephone to studio recordings."""

RECORDED_RATE_HZ = Quantity("Hz", 1000, 768000, mistakes=(KHZ,))
"""Sampling rate of a recording."""


def all_muted(gains_db: Iterable[float]) -> bool:
    """Return whether the gains make all players inaudible.

    A remix without audible players is refused, because the level factor would only amplify the rest
    of the mixture.
    """
    return all(gain <= MUTED_DB for gain in gains_db)
