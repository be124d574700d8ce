"""Reads and checks the orders that the page of the desk sends."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cmss.command_line import one_line
from cmss.desk.standard_audiograms import FREQUENCIES_HZ, STANDARD_DB
from cmss.errors import InputError
from cmss.listen.command import QUALITIES
from cmss.listen.inputs import FFMPEG, LIBSNDFILE
from cmss.quantities import HEARING_LEVEL_DB
from cmss.scenes import INSTRUMENTS

FEWEST, MOST = 2, 5
"""Minimum and maximum number of players in a recording. The challenge has the same limits."""
LONGEST_TITLE = 120


@dataclass(frozen=True)
class Order:
    """Holds the settings for the separation and the hearing aid of a recording.

    Args:
        title: name of the recording for messages and pages. No path contains `title`.
        suffix: suffix of a known file format, such as ".wav". If the format is unknown, `suffix` is
            empty.
        instruments: instrument of each player.
        left: hearing levels of the left ear in dB HL at `FREQUENCIES_HZ`.
        right: hearing levels of the right ear in dB HL at `FREQUENCIES_HZ`.
        quality: "fast" or "best".
    """

    title: str
    suffix: str
    instruments: tuple[str, ...]
    left: tuple[float, ...]
    right: tuple[float, ...]
    quality: str

    @property
    def hearing(self) -> str:
        """Name of the audiogram: "me" unless both ears have the same standard audiogram."""
        for name, levels_db in STANDARD_DB.items():
            if self.left == self.right == levels_db:
                return name
        return "me"


def read_order(text: str) -> Order:
    """Read an order from a JSON text.

    The JSON object has the keys title, players, left, right and quality. The value of players is an
    object that maps each instrument to the number of players of this instrument.

    Raises:
        InputError: a value is missing or cannot be used.
    """
    try:
        given = json.loads(text)
    except ValueError as error:
        raise InputError(f"order: malformed JSON: {error}") from error
    if not isinstance(given, dict):
        raise InputError("order: expected a JSON object")
    problems: list[str] = []
    title = str(given.get("title", "")).strip()
    if not title:
        problems.append("title: expected the name of the recording")
    instruments = _instruments(given.get("players"), problems)
    ears = [_levels(given, ear, problems) for ear in ("left", "right")]
    quality = given.get("quality")
    if not isinstance(quality, str) or quality not in QUALITIES:
        problems.append(f"quality: expected {' or '.join(QUALITIES)}")
    if problems:
        raise InputError(problems)
    suffix = "".join(title.rpartition(".")[1:]).lower()
    return Order(
        one_line(title[-LONGEST_TITLE:]),
        suffix if suffix in LIBSNDFILE + FFMPEG else "",
        instruments,
        ears[0],
        ears[1],
        str(quality),
    )


def _instruments(players: Any, problems: list[str]) -> tuple[str, ...]:
    """Return the instrument of each player, and append error messages to `problems`."""
    if not isinstance(players, Mapping):
        problems.append("players: expected the number of players of each instrument")
        return ()
    if unknown := [name for name in players if name not in INSTRUMENTS]:
        names = ", ".join(map(one_line, unknown[:3]))
        problems.append(f"players: expected names from {', '.join(INSTRUMENTS)}, got {names}")
    counts = Counter[str]()
    for name in INSTRUMENTS:
        number = players.get(name, 0)
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MOST:
            problems.append(f"players: {name}: expected a number from 0 to {MOST}")
        else:
            counts[name] = number
    if not problems and not FEWEST <= counts.total() <= MOST:
        problems.append(f"players: expected {FEWEST} to {MOST} players, got {counts.total()}")
    return tuple(counts.elements())


def _levels(given: Mapping[str, Any], ear: str, problems: list[str]) -> tuple[float, ...]:
    """Return the hearing levels of an ear, and append error messages to `problems`."""
    levels_db = given.get(ear)
    if not isinstance(levels_db, Sequence) or len(levels_db) != len(FREQUENCIES_HZ):
        at = ", ".join(f"{hertz:g}" for hertz in FREQUENCIES_HZ)
        problems.append(f"{ear} ear: expected hearing levels at {at} Hz")
        return ()
    if not all(type(level) in (int, float) for level in levels_db):
        problems.append(f"{ear} ear: expected numbers in dB HL")
        return ()
    if refusal := HEARING_LEVEL_DB.refusal(levels_db):
        problems.append(f"{ear} ear: {refusal}")
    return tuple(map(float, levels_db))
