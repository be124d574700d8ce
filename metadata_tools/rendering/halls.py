"""Converts dry mono stems to stereo stems in a measured or simulated hall."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cmss.audio import read_header, read_stereo, resample
from cmss.errors import InputError
from metadata_tools.challenge.writer import SAMPLE_RATE_HZ
from metadata_tools.rendering.room import impulse_response, random_room, random_seats, reverberate


@dataclass(frozen=True)
class Halls:
    """Holds the measured or simulated halls in which a piece can be played.

    Args:
        responses: dict from the name of a measured hall to a list with one impulse response for
            each seat. An impulse response is an array (2, taps) in float32 at 44.1 kHz. The
            responses of a hall are scaled so that the mean energy of a channel is 1. All responses
            of the hall are scaled by the same factor, so the differences in level between seats are
            kept. If `responses` is empty, rooms are simulated
            (:mod:`metadata_tools.rendering.room`).
    """

    responses: dict[str, list[np.ndarray]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> "Halls":
        """Read stereo room impulse responses.

        Each subfolder is a hall, and each file of a subfolder is a seat in this hall.

        Raises:
            InputError: the folder is missing or has no sound file, or a file is silent or not
                stereo.
        """
        if not folder.is_dir():
            raise InputError(f"--rooms: {folder}: no such folder")
        halls: dict[str, list[np.ndarray]] = {}
        problems = []
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() not in (".wav", ".flac", ".aif", ".aiff"):
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
            # This is the mean energy of a channel over all seats.
            energy = np.mean([np.sum(np.square(x, dtype=float)) / 2 for x in responses])
            halls[hall] = [np.asarray(x / np.sqrt(energy), np.float32) for x in responses]
        return cls(halls)

    def seats(self, players: int, rng: np.random.Generator) -> list[np.ndarray]:
        """Choose a hall and its seats at random; return the impulse response of each player's seat.

        Shape: each impulse response is an array (2, taps) in float32.

        Raises:
            InputError: no measured hall has enough seats.
        """
        if not self.responses:
            room = random_room(rng)
            seats = random_seats(room, players, rng)
            return [impulse_response(room, seats[n], rng) for n in rng.permutation(players)]
        large = [responses for responses in self.responses.values() if len(responses) >= players]
        if not large:
            most = max(map(len, self.responses.values()))
            raise InputError(
                f"--rooms: {players} players, but no hall has more than {most} impulse responses"
            )
        hall = large[rng.integers(len(large))]
        return [hall[n] for n in rng.permutation(len(hall))[:players]]


def in_hall(
    dry: Mapping[str, np.ndarray], halls: Halls, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Place the stems of a piece in a random hall, and keep the balance of the recording.

    Args:
        dry: dict from the label of a player to the dry stem (samples,).
        halls: halls from which a hall is drawn.
        rng: random generator for the hall and the seats.

    Returns:
        Dict from the label of a player to the stem (2, samples).
    """
    responses = halls.seats(len(dry), rng)
    return {
        label: reverberate(stem, response)
        for (label, stem), response in zip(dry.items(), responses, strict=True)
    }
