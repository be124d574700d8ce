"""Builds the scene and the listener from the options of the command line."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

from cmss.audio import Excerpt
from cmss.errors import InputError, did_you_mean
from cmss.files.text import read_text
from cmss.hearing.prescription import COMPRESSOR_FREQUENCIES_HZ, compression_from_audiogram
from cmss.quantities import MUTED_DB, PLAYER_GAIN_DB, all_muted
from cmss.scenes import (
    INSTRUMENTS,
    Audiogram,
    Compression,
    Ear,
    Listener,
    Scene,
    Track,
    canonical,
    load_audiograms,
    named_players,
)


def make_scene(path: Path, players: Sequence[str], gains_db: Sequence[float]) -> Scene:
    """Build a scene that consists of a recording and a gain for each player.

    Args:
        path: path of the recording.
        players: instrument of each player, in upper or lower case. If two players play the same
            instrument, the instrument is listed twice.
        gains_db: gain of each player in dB, within the limits of the metadata; minus infinity mutes
            the player.

    Raises:
        InputError: an instrument is unknown, a gain is out of range, or the number of gains differs
            from the number of players.
    """
    problems = [
        f"--instruments: expected names from {', '.join(INSTRUMENTS)}, got {name!r}"
        + did_you_mean(name, INSTRUMENTS)
        for name in players
        if canonical(name) is None
    ]
    if len(gains_db) != len(players):
        problems.append(
            f"--gains: expected {len(players)}, one per instrument, got {len(gains_db)}"
        )
    if refusal := PLAYER_GAIN_DB.refusal(gain for gain in gains_db if gain != -math.inf):
        problems.append(f"--gains: {refusal}; -inf mutes a player")
    elif gains_db and all_muted(gains_db):
        problems.append(
            f"--gains: every player is muted ({MUTED_DB:g} dB or less), "
            "expected at least one audible player"
        )
    if problems:
        raise InputError(problems)
    recording = Excerpt(path, 0.0, math.inf)
    sources = named_players([found for name in players if (found := canonical(name))], recording)
    gains = dict(zip(sources, gains_db, strict=True))
    return Scene("S0", Track(path.name, sources, recording), gains)


def read_gains(given: Sequence[float | Path], players: Sequence[str]) -> list[float]:
    """Return the gain of each player in dB.

    Args:
        given: a list of gains in dB, or a list that contains only the path of a JSON file. The file
            has the keys `instruments` and `gains_db`. The page of :mod:`cmss.listen.mixing` exports
            such a file.
        players: instrument of each player.

    Raises:
        InputError: the file cannot be used, or is given together with numbers.
    """
    gains_db = [gain for gain in given if not isinstance(gain, Path)]
    if len(gains_db) == len(given):
        return gains_db
    (path, *others) = (gain for gain in given if isinstance(gain, Path))
    if gains_db or others:
        raise InputError(
            f"--gains {path}: expected either numbers or a single JSON file, "
            "got a file together with other values"
        )
    if not path.is_file():
        raise InputError(f"--gains {path}: no such file")
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        raise InputError(f"--gains {path}: malformed JSON: {error}") from error
    for key in ("instruments", "gains_db"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise InputError(f"--gains {path}: {key}: expected a list")
    named = [str(name) for name in content["instruments"]]
    if [name.lower() for name in named] != [name.lower() for name in players]:
        raise InputError(
            f"--gains {path}: instruments: expected the same list as --instruments "
            f"({', '.join(players)}), got {', '.join(named)}"
        )
    try:
        # A bool is a number in Python, but not a gain.
        return [float("bool" if isinstance(gain, bool) else gain) for gain in content["gains_db"]]
    except (TypeError, ValueError) as error:
        raise InputError(
            f'--gains {path}: gains_db: expected numbers in dB or "-inf", got {content["gains_db"]}'
        ) from error


def make_listener(audiogram: str, name: str | None = None) -> Listener:
    """Read the audiograms of a listener, and compute the settings of the compressor of each ear.

    Args:
        audiogram: path of a JSON file; or levels of both ears in dB HL, separated by commas, at the
            frequencies of the compressor.
        name: id of the listener in a file with several listeners.

    Raises:
        InputError: the file is unreadable, or the content of the file or the levels are not valid.
    """
    path = Path(audiogram)
    if not path.exists() and (levels_db := _numbers(audiogram)) is not None:
        if len(levels_db) != len(COMPRESSOR_FREQUENCIES_HZ):
            expected = ", ".join(f"{hertz:g}" for hertz in COMPRESSOR_FREQUENCIES_HZ)
            raise InputError(
                f"--audiogram: expected a file or six levels, at {expected} Hz, "
                f"got {len(levels_db)} levels"
            )
        if name:
            raise InputError("--listener: can be used only if --audiogram is a file")
        audiograms = [Audiogram(COMPRESSOR_FREQUENCIES_HZ, levels_db)] * 2
    else:
        audiograms = [*load_audiograms(path, name)]
    try:
        left, right = (
            Ear(ear, Compression(*compression_from_audiogram(ear.frequencies_hz, ear.levels_db)))
            for ear in audiograms
        )
    except InputError as error:
        raise InputError(f"{audiogram}: {line}" for line in error.problems) from error
    return Listener(name or path.stem, left, right)


def _numbers(text: str) -> tuple[float, ...] | None:
    """Parse numbers that are separated by commas; return None if an item is not a number."""
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        return None
