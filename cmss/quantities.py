"""Ranges of the quantities that a user enters, and what a value outside its range is likely to be.

A number without its unit says nothing about it: 0.25 in a list of frequencies in Hz is a quarter of
a cycle per second, and almost certainly 250 Hz, entered in kHz. A hearing aid fitted to it is far
too loud. So every quantity has two ranges: values outside the first are refused, with the likely
cause; values outside the second are possible, but rare enough for a warning.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Slip:
    """A common mistake of unit or sign.

    Args:
        looks_like: what the value is, if the mistake was made.
        expected: what it should be.
        correct: from the one to the other.
    """

    looks_like: str
    expected: str
    correct: Callable[[float], float]


@dataclass(frozen=True)
class Quantity:
    """What is measured or set, with its unit and its ranges; all limits are inclusive.

    Args:
        unit: for messages.
        lowest: value that is possible.
        highest: value that is possible.
        usual: range without a warning; None for all that is possible.
        slips: mistakes to look for in a value that is not possible.
    """

    unit: str
    lowest: float
    highest: float
    usual: tuple[float, float] | None = None
    slips: tuple[Slip, ...] = ()

    def refusal(self, values: Iterable[float]) -> str | None:
        """Say what is wrong with values that are not possible, and which; None if all are."""
        bad = self._impossible(values)
        return f"{self.expectation(bad)}, got {_listed(bad)}" if bad else None

    def expectation(self, values: Iterable[float]) -> str | None:
        """As :meth:`refusal`, for messages that show the values themselves."""
        bad = self._impossible(values)
        for slip in self.slips if bad else ():
            corrected = [slip.correct(value) for value in bad]
            if not self._impossible(corrected):
                verb = "looks" if len(bad) == 1 else "look"
                return (
                    f"{verb} like {slip.looks_like}, expected {slip.expected}: {_listed(corrected)}"
                )
        return f"expected {self.lowest:g} to {self.highest:g} {self.unit}" if bad else None

    def _impossible(self, values: Iterable[float]) -> list[float]:
        return [value for value in values if not self.lowest <= value <= self.highest]

    def unusual(self, values: Iterable[float]) -> list[float]:
        """Find the values that are possible but deserve a warning, without repetition."""
        low, high = self.usual or (self.lowest, self.highest)
        return list(dict.fromkeys(value for value in values if not low <= value <= high))


def _listed(values: Sequence[float], most: int = 8) -> str:
    shown = ", ".join(f"{value:.6g}" for value in values[:most])
    return f"{shown}, ..." if len(values) > most else shown


KHZ = Slip("kHz", "Hz", lambda value: value * 1000)

FREQUENCY_HZ = Quantity("Hz", 50, 20000, (125, 16000), (KHZ,))
"""Of an audiogram or of a compressor's band: audiometers measure from 125 Hz to 8 kHz, for high
frequencies to 16 or 20 kHz (IEC 60645-1)."""

HEARING_LEVEL_DB = Quantity(
    "dB HL",
    -20,
    130,
    (-10, 120),
    (Slip("losses with the sign reversed", "positive dB HL", lambda value: -value),),
)
"""Audiometers present -10 to 120 dB HL (IEC 60645-1)."""

RATIO = Quantity(
    "(2 for 2:1)",
    0.5,
    1000,
    (1, 20),
    (Slip("output over input", "input over output", lambda value: 1 / value if value else 0.0),),
)
"""Compression ratio: below 1 is expansion; from 20 on, a limiter."""

MAKE_UP_GAIN_DB = Quantity("dB", -40, 80, (-20, 50))
"""Of a compressor's band. The challenge's prescription stays below 36 dB; the most powerful hearing
aids amplify by 80 dB."""

PLAYER_GAIN_DB = Quantity("dB", -200, 200)
"""Of a player in a remix: far beyond what occurs, and within which no arithmetic overflows."""

MUTED_DB = -100.0
"""Gain of a player who cannot be heard any more: 16 bits hold 96 dB."""

CROSSOVER_HZ = Quantity("Hz", 20, 96000, slips=(KHZ,))
"""Between two bands of a hearing aid."""

_SECONDS = Slip("seconds", "ms", lambda value: value * 1000)
ATTACK_MS = Quantity("ms", 0.02, 1e7, slips=(_SECONDS,))
"""One sample at 44.1 kHz takes 0.023 ms; the challenge's attack times are 11 ms and more."""
RELEASE_MS = Quantity("ms", 0.5, 1e7, slips=(_SECONDS,))
"""The challenge's release times are 80 ms and more."""

_COMMON_RATES_HZ = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 192000)


def _common_rate(value_khz: float) -> float:
    """44 kHz is 44100 Hz with its last digits cut off."""
    rate_hz = value_khz * 1000
    return next((c for c in _COMMON_RATES_HZ if rate_hz < c < 1.01 * rate_hz), rate_hz)


SAMPLE_RATE_HZ = Quantity("Hz", 8000, 192000, slips=(Slip("kHz", "Hz", _common_rate),))
"""Of sound in the configuration: from telephones to studios."""

RECORDED_RATE_HZ = Quantity("Hz", 1000, 768000, slips=(KHZ,))
"""Of a recording."""


def all_muted(gains_db: Iterable[float]) -> bool:
    """Whether nobody can be heard with these gains; the level factor would only raise the rest."""
    return all(gain <= MUTED_DB for gain in gains_db)
