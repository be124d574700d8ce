"""Checks the names of players and their gains."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cmss.api.arguments import as_list, is_number, shortened
from cmss.audio import Excerpt
from cmss.errors import InputError, did_you_mean
from cmss.quantities import MUTED_DB, PLAYER_GAIN_DB, all_muted
from cmss.scenes import INSTRUMENTS, Source, canonical, named_players


def players(instruments: Any) -> dict[str, Source]:
    """Return a dict from the name of each stem of a recording to the player.

    Args:
        instruments: names of instruments in upper or lower case; an instrument that is named
            several times has several players.

    Returns:
        Dict from the name of a stem to the player: the name of the instrument (`Cello`), or for
        several players of the same instrument the name with a number (`Violin_1`, `Violin_2`).

    Raises:
        InputError: there is no name, or a name is unknown.
    """
    names = as_list(instruments)
    if names is None:
        raise InputError(
            "instruments: expected a list of names such as ['Violin', 'Cello'], "
            f"got {shortened(instruments)}"
        )
    if not names:
        raise InputError("instruments: expected at least one name, got an empty list")
    problems = [
        f"instruments: expected names from {', '.join(INSTRUMENTS)}, got {shortened(name)}"
        + did_you_mean(name, INSTRUMENTS)
        for name in names
        if canonical(name) is None
    ]
    if problems:
        raise InputError(problems)
    known = [found for name in names if (found := canonical(name))]
    return named_players(known, Excerpt(Path(), 0.0, math.inf))


def player_gains(gains_db: Any, stems: Sequence[str]) -> dict[str, float]:
    """Check gains, and return the gain of each stem in dB; a stem without a gain has 0 dB.

    Raises:
        InputError: a player is unknown, a gain is not a number or out of range, or all players are
            muted.
    """
    if not isinstance(gains_db, Mapping):
        raise InputError(
            "gains_db: expected a dict from the name of a stem to its gain in dB, such as "
            f"{{'Violin': 6}}, got {type(gains_db).__name__}"
        )
    problems = []
    for name, gain in gains_db.items():
        if name not in stems:
            problems.append(
                f"gains_db: expected names from {', '.join(stems)}, got {shortened(name)}"
                + did_you_mean(name, stems)
            )
        elif not is_number(gain):
            problems.append(f"gains_db: {name}: expected a gain in dB, got {shortened(gain)}")
        elif gain != -math.inf and (refusal := PLAYER_GAIN_DB.refusal([float(gain)])):
            problems.append(f"gains_db: {name}: {refusal}; -inf mutes a player")
    if problems:
        raise InputError(problems)
    gains = {name: float(gains_db.get(name, 0.0)) for name in stems}
    if all_muted(gains.values()):
        raise InputError(
            f"gains_db: every player is muted ({MUTED_DB:g} dB or less), "
            "expected at least one audible player"
        )
    return gains
