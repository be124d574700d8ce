"""Defines the standard audiograms that the desk offers.

Source:
    Bisgaard, Vlaming and Dahlquist (2010), "Standard audiograms for the IEC 60118-15 measurement
    procedure", Trends in Amplification 14(2), 113-120. N1 to N7 describe flat or moderately
    sloping hearing losses, from very mild to profound. S1 to S3 describe steep hearing losses.

The tables in this article end at 6000 Hz. At 8000 Hz, the desk uses the level at 6000 Hz.
"""

from cmss.api.audiograms import STANDARD_HZ

FREQUENCIES_HZ = STANDARD_HZ[8]
"""Frequencies of the desk's audiograms. The challenge uses the same frequencies."""

_TABLE_HZ = (250, 375, 500, 750, 1000, 1500, 2000, 3000, 4000, 6000)
_TABLE_DB = {
    "N1": (10, 10, 10, 10, 10, 10, 15, 20, 30, 40),
    "N2": (20, 20, 20, 22.5, 25, 30, 35, 40, 45, 50),
    "N3": (35, 35, 35, 35, 40, 45, 50, 55, 60, 65),
    "N4": (55, 55, 55, 55, 55, 60, 65, 70, 75, 80),
    "N5": (65, 67.5, 70, 72.5, 75, 80, 80, 80, 80, 80),
    "N6": (75, 77.5, 80, 82.5, 85, 90, 90, 95, 100, 100),
    "N7": (90, 92.5, 95, 100, 105, 105, 105, 105, 105, 105),
    "S1": (10, 10, 10, 10, 10, 10, 15, 30, 55, 70),
    "S2": (20, 20, 20, 22.5, 25, 35, 55, 75, 95, 95),
    "S3": (30, 30, 35, 47.5, 60, 70, 75, 80, 80, 85),
}
_DESCRIBED = {
    "N1": "very mild",
    "N2": "mild",
    "N3": "moderate",
    "N4": "moderate to severe",
    "N5": "severe",
    "N6": "severe",
    "N7": "profound",
    "S1": "very mild, steep",
    "S2": "mild, steep",
    "S3": "moderate to severe, steep",
}


def _levels_db(row: tuple[float, ...]) -> tuple[float, ...]:
    by_hz = dict(zip(_TABLE_HZ, row, strict=True))
    return tuple(by_hz.get(int(hertz), row[-1]) for hertz in FREQUENCIES_HZ)


STANDARD_DB = {
    "none": (0.0,) * len(FREQUENCIES_HZ),
    **{name: _levels_db(row) for name, row in _TABLE_DB.items()},
}
"""Dict from a name to levels in dB HL at :data:`FREQUENCIES_HZ`; "none" means no hearing loss."""


def described(name: str) -> str:
    """Return the text that describes a standard audiogram in the list on the page."""
    return f"{name}: {_DESCRIBED[name]}" if name in _DESCRIBED else "no hearing loss"
