"""Simulates rooms with near and far microphones for rendered mixtures.

The direct sound and the early reflections are image sources in a rectangular room (Allen and
Berkley 1979, Journal of the Acoustical Society of America 65). The late reverberation is
exponentially decaying noise. The level of the late reverberation follows statistical acoustics
(Kuttruff, Room Acoustics, section 5.5).

In shapes, P is the number of players and T the number of samples of an impulse response.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

SPEED_OF_SOUND = 343.0  # in m/s
LONGEST_RESPONSE_S = 3.0
"""Maximum duration of an impulse response in seconds; longer decays are truncated."""

_HALF_WIDTH = 8  # half of the number of taps of a band-limited impulse
_ORDER = 2  # maximum order of reflections
_DECAYS = ((400.0, 1.1), (3000.0, 1.0), (np.inf, 0.55))
"""Upper edge in Hz of each band, and ratio of the band's reverberation time to `decay_s`."""

_CELLS = np.array([c for c in product(range(-_ORDER, _ORDER + 1), repeat=3)
                   if sum(map(abs, c)) <= _ORDER])  # fmt: skip
"""Indices (images, 3) of the cells of the lattice of image sources, sorted by position."""


@dataclass(frozen=True)
class Space:
    """Defines a rectangular room with a pair of microphones.

    Args:
        size_m: length, width and height of the room.
        decay_s: reverberation time (T60) at mid frequencies. If `decay_s` is 0, the room has no
            reflections.
        spacing_m: distance between the two microphones.
        angle_rad: angle by which each microphone is turned outwards.
        omni: directivity of the microphones. `omni` is 1 for omnidirectional microphones and 0.5
            for cardioid microphones.
    """

    size_m: tuple[float, float, float]
    decay_s: float
    spacing_m: float = 0.17
    angle_rad: float = 0.96
    omni: float = 0.5

    @property
    def volume_m3(self) -> float:
        """Volume of the room in cubic metres."""
        return float(np.prod(self.size_m))

    @property
    def reflection(self) -> float:
        """Amplitude reflection factor of the walls, from Sabine's formula for `decay_s`."""
        return float(np.sqrt(1 - min(1.0, wall_absorption(self.size_m, max(self.decay_s, 1e-3)))))

    @property
    def critical_m(self) -> float:
        """Distance in metres at which direct and diffuse sound are equally loud."""
        return 0.057 * float(np.sqrt(self.volume_m3 / max(self.decay_s, 1e-3)))


def wall_absorption(size_m: tuple[float, float, float], decay_s: float) -> float:
    """Return the absorption coefficient of the walls of a room, from Sabine's formula.

    Args:
        size_m: length, width and height in metres.
        decay_s: reverberation time in seconds.
    """
    length, width, height = size_m
    surface = 2 * (length * width + length * height + width * height)
    return 0.161 * float(np.prod(size_m)) / (surface * decay_s)


def random_space(longest_decay_s: float, rng: np.random.Generator) -> Space:
    """Draw a room, from a dry studio to a church.

    The logarithm of the reverberation time has a uniform distribution. Rooms with a long
    reverberation time are large.

    Args:
        longest_decay_s: maximum reverberation time in seconds. If `longest_decay_s` is 0, the room
            has no reflections.
        rng: random generator for the room and the microphones.
    """
    lowest = min(0.15, longest_decay_s)
    decay_s = 0.0
    if longest_decay_s > 0:
        decay_s = float(np.exp(rng.uniform(np.log(lowest), np.log(longest_decay_s))))
    length = float(rng.uniform(5, 9) * (1 + 1.2 * decay_s))
    pair = rng.random()
    return Space(
        size_m=(
            length,
            length * float(rng.uniform(0.6, 0.95)),
            float(np.clip(length * rng.uniform(0.3, 0.6), 2.6, 18)),
        ),
        decay_s=decay_s,
        # The pair is coincident, nearly coincident, or spaced.
        spacing_m=0.0 if pair < 0.25 else float(rng.uniform(0.1, 0.3 if pair < 0.65 else 1.0)),
        angle_rad=float(np.deg2rad(rng.uniform(35, 60))),
        omni=float(rng.uniform(0.4, 0.6) if pair < 0.65 else rng.uniform(0.6, 1.0)),
    )


def late_bands(seconds: float, rate_hz: int, rng: np.random.Generator) -> Array:
    """Return noise (3, 2, T) in three bands for the reverberation.

    The sum of the three bands is white noise with unit variance.
    """
    samples = int(seconds * rate_hz)
    spectrum = np.fft.rfft(rng.standard_normal((2, samples), np.float32))
    hz = np.fft.rfftfreq(samples, 1 / rate_hz)
    lower, bands = 0.0, []
    for upper, _ in _DECAYS:
        bands.append(np.fft.irfft(spectrum * ((hz >= lower) & (hz < upper)), samples))
        lower = upper
    return np.stack(bands).astype(np.float32)


def responses(
    space: Space,
    angles_rad: NDArray[np.float64],
    distances_m: NDArray[np.float64],
    rate_hz: int,
    rng: np.random.Generator,
    bands: Array | None = None,
) -> Array:
    """Compute the impulse responses from all players to the pair of microphones.

    The level of the direct sound decreases with the distance of the player. The level of the late
    reverberation does not depend on the distance. All players are at least 0.2 m away from the
    walls. If a microphone points at a player at a distance of 1 m, the direct sound has an
    amplitude of 1.

    Args:
        space: room with a pair of microphones. The pair is in the middle of the room's width.
        angles_rad: angle (P,) of each player, seen from the microphones; positive to the right.
        distances_m: distance (P,) of each player to the centre of the microphones.
        rate_hz: sampling rate of the responses.
        rng: random generator for the late reverberation.
        bands: noise from :func:`late_bands`. The noise must be longer than the responses. If
            `bands` is None, new noise is drawn.

    Returns:
        The impulse responses (P, 2, T). The direct sound arrives within the first 3 ms.
    """
    start = _HALF_WIDTH + int(np.ceil(0.5 * space.spacing_m / SPEED_OF_SOUND * rate_hz)) + 1
    seconds = min(space.decay_s, LONGEST_RESPONSE_S)
    samples = int(max(0.05, seconds) * rate_hz) + 2 * start
    response = np.zeros((len(angles_rad), 2, samples), np.float32)
    pair = np.array([0.25 * space.size_m[0], 0.5 * space.size_m[1], min(2.0, space.size_m[2] / 2)])
    if space.decay_s > 0 and bands is None:
        bands = late_bands(2 * LONGEST_RESPONSE_S, rate_hz, rng)
    if space.decay_s > 0:
        decays = _decays(space, samples, start, rate_hz)
    for player, (angle, distance) in enumerate(zip(angles_rad, distances_m, strict=True)):
        seat = pair + distance * np.array([np.cos(angle), np.sin(angle), 0])
        seat = np.clip(seat, 0.2, np.array(space.size_m) - 0.2)
        # A seat that was moved away from a wall is nearer than `distance`.
        nearest = float(np.linalg.norm(seat - pair))
        _add_images(response[player], space, pair, seat, nearest, start, rate_hz)
        if bands is not None and space.decay_s > 0:
            # The noise of each player begins at a different sample, so that the responses of the
            # players are not correlated.
            first = int(rng.integers(bands.shape[-1] - samples))
            late = np.einsum("bct,bt->ct", bands[..., first : first + samples], decays)
            # At the critical distance, direct sound and diffuse sound have equal energy.
            energy = float(np.sum(late**2)) / 2
            response[player] += late / np.float32(space.critical_m * np.sqrt(max(energy, 1e-12)))
    return response


def _add_images(
    response: Array,
    space: Space,
    pair: NDArray[np.float64],
    seat: NDArray[np.float64],
    distance: float,
    start: int,
    rate_hz: int,
) -> None:
    """Add the direct sound and the early reflections to an impulse response (2, T), in place."""
    size = np.array(space.size_m)
    cells = _CELLS if space.decay_s > 0 else np.zeros((1, 3), int)
    # In odd cells of the lattice, the source is mirrored.
    images = cells * size + np.where(cells % 2 == 0, seat, size - seat)  # (images, 3)
    orders = np.abs(cells).sum(1)
    taps = np.arange(-_HALF_WIDTH + 1, _HALF_WIDTH + 1)
    for channel, side in enumerate((-1, 1)):
        rays = images - (pair + np.array([0, 0.5 * side * space.spacing_m, 0]))
        ranges = np.maximum(np.linalg.norm(rays, axis=1), 0.1)
        angle = side * space.angle_rad
        towards = rays @ np.array([np.cos(angle), np.sin(angle), 0]) / ranges
        gains = (space.omni + (1 - space.omni) * towards) * space.reflection**orders / ranges
        delays = start + (ranges - distance) / SPEED_OF_SOUND * rate_hz
        inside = (delays >= _HALF_WIDTH) & (delays < response.shape[1] - _HALF_WIDTH - 1)
        whole = np.floor(delays[inside]).astype(int)[:, None] + taps  # (images, taps)
        offset = whole - delays[inside, None]
        window = np.cos(0.5 * np.pi * np.clip(offset / _HALF_WIDTH, -1, 1)) ** 2
        impulses = gains[inside, None] * np.sinc(offset) * window
        np.add.at(response[channel], whole, impulses.astype(np.float32))


def _decays(space: Space, samples: int, start: int, rate_hz: int) -> Array:
    """Return the envelopes (3, samples) of the late reverberation in the three bands."""
    time = (np.arange(samples, dtype=np.float32) - start) / np.float32(rate_hz)
    length, width, height = space.size_m
    surface = 2 * (length * width + length * height + width * height)
    # The late reverberation starts after two mean free paths, when many reflections overlap.
    begin_s = 2 * 4 * space.volume_m3 / (surface * SPEED_OF_SOUND)
    fade_in = np.clip(time / begin_s, 0, 1) ** 2
    # The level falls by 60 dB within the reverberation time.
    rates = np.array([3 * np.log(10) / (space.decay_s * relative) for _, relative in _DECAYS])
    return (fade_in * np.exp(-rates[:, None] * np.maximum(time, 0))).astype(np.float32)
