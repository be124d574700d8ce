"""Dry mono stems -> what a stereo pair hears in a hall: measured responses, or made-up rooms."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from cmss.audio import read_header, read_stereo, resample
from cmss.errors import InputError
from metadata_tools.challenge.writer import SAMPLE_RATE_HZ
from metadata_tools.rendering.room import impulse_response, random_room, random_seats, reverberate

_SOUND_FILES = (".wav", ".flac", ".aif", ".aiff")


class Halls(Protocol):
    """Where a piece can be played."""

    def seats(self, players: int, rng: np.random.Generator) -> list[np.ndarray]:
        """Responses from the seats of one hall to the pair: (2, taps) float32 for each player."""
        ...


@dataclass(frozen=True)
class SyntheticHalls:
    """Rooms drawn at random, see :mod:`metadata_tools.rendering.room`."""

    def seats(self, players: int, rng: np.random.Generator) -> list[np.ndarray]:
        """Another room at each call."""
        room = random_room(rng)
        seats = random_seats(room, players, rng)
        return [impulse_response(room, seats[n], rng) for n in rng.permutation(players)]


@dataclass(frozen=True)
class MeasuredHalls:
    """Stereo room impulse responses in files, those of one folder from seats of one hall.

    Args:
        responses: (2, taps) at 44.1 kHz by hall. Within a hall all are scaled alike: how loud a
            seat is stays, how loud the measurement was does not.
    """

    responses: dict[str, list[np.ndarray]]

    @classmethod
    def read(cls, folder: Path) -> "MeasuredHalls":
        """Read all sound files below a folder.

        Raises:
            InputError: no such folder, no file, or one that is not stereo.
        """
        if not folder.is_dir():
            raise InputError(f"--rooms: {folder}: no such folder")
        halls: dict[str, list[np.ndarray]] = {}
        problems = []
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() not in _SOUND_FILES:
                continue
            if (channels := read_header(path).channels) != 2:
                problems.append(f"{path}: {channels} channel(s), expected the 2 of a stereo pair")
                continue
            response, rate_hz = read_stereo(path)
            if not response.any():
                problems.append(f"{path}: is silent")
                continue
            hall = path.parent.relative_to(folder).as_posix()
            halls.setdefault(hall, []).append(resample(response, rate_hz, SAMPLE_RATE_HZ))
        if not halls and not problems:
            problems.append(f"{folder}: holds no impulse response, expected stereo sound files")
        if problems:
            raise InputError(problems)
        for hall, responses in halls.items():
            energy = np.mean([np.sum(np.square(x, dtype=float)) / 2 for x in responses])
            halls[hall] = [np.asarray(x / np.sqrt(energy), np.float32) for x in responses]
        return cls(halls)

    def seats(self, players: int, rng: np.random.Generator) -> list[np.ndarray]:
        """Different seats of one hall that has enough.

        Raises:
            InputError: none has.
        """
        large = [responses for responses in self.responses.values() if len(responses) >= players]
        if not large:
            most = max(map(len, self.responses.values()))
            raise InputError(
                f"--rooms: {players} players, but no hall has more than {most} responses"
            )
        hall = large[rng.integers(len(large))]
        return [hall[n] for n in rng.permutation(len(hall))[:players]]


def seated(
    dry: Mapping[str, np.ndarray], halls: Halls, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Play a piece in a hall, in the balance in which it was recorded.

    Args:
        dry: (samples,) by label.

    Returns:
        (2, samples) by label.
    """
    responses = halls.seats(len(dry), rng)
    return {
        label: reverberate(stem, response)
        for (label, stem), response in zip(dry.items(), responses, strict=True)
    }
