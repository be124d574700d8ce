"""A shared room: dry stems -> what a stereo pair of microphones hears.

Image sources for direct sound and early reflections in a shoebox (Allen and Berkley, J. Acoust. Soc. Am.
65, 1979, pp. 943-950), then diffuse noise that decays exponentially, faster at high frequencies, at the
level that statistical acoustics gives (Kuttruff, Room Acoustics, section 5.5). Every track has a room of
its own, every player a seat and a tone of their own, so that a network cannot learn one room.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import signal

from metadata_tools.sampler import SAMPLE_RATE_HZ

SPEED_OF_SOUND = 343.0  # m/s

_IMAGE_ORDER = 3
_LONGEST_TAIL_S = 1.6
_SINC_HALF_WIDTH = 8


@dataclass(frozen=True)
class Room:
    """A shoebox with a stereo pair in it.

    Args:
        size_m: length, width, height; the players sit along the first axis from the pair.
        decay_s: reverberation time (T60) at mid frequencies.
        pair_m: centre of the microphone pair.
        spacing_m: distance between the two microphones, across the room.
        angle_rad: each microphone's turn outwards from straight ahead.
        omni: 1 for omnidirectional microphones, 0.5 for cardioids.
        diffuse_db: level of the tail against statistical acoustics: how near spot microphones would be.
    """

    size_m: tuple[float, float, float]
    decay_s: float
    pair_m: tuple[float, float, float]
    spacing_m: float
    angle_rad: float
    omni: float
    diffuse_db: float

    @property
    def volume_m3(self) -> float:
        """Cubic metres."""
        return float(np.prod(self.size_m))

    @property
    def reflection(self) -> float:
        """Amplitude left after one reflection (Sabine's absorption)."""
        length, width, height = self.size_m
        surface = 2 * (length * width + length * height + width * height)
        absorption = min(0.95, 0.161 * self.volume_m3 / (surface * self.decay_s))
        return float(np.sqrt(1 - absorption))


def random_room(rng: np.random.Generator) -> Room:
    """From a large living room to a chamber music hall."""
    length = float(rng.uniform(6, 22))
    width = float(rng.uniform(5, min(14, length)))
    height = float(rng.uniform(2.8, 8))
    spaced = rng.random() < 0.3
    return Room(
        size_m=(length, width, height),
        decay_s=float(np.clip(0.25 + 0.05 * length + rng.normal(0, 0.2), 0.25, 1.8)),
        pair_m=(
            length * float(rng.uniform(0.15, 0.3)),
            width * float(rng.uniform(0.42, 0.58)),
            float(rng.uniform(1.6, min(2.6, height - 0.5))),
        ),
        spacing_m=float(rng.uniform(0.3, 0.8) if spaced else rng.uniform(0.02, 0.25)),
        angle_rad=float(np.deg2rad(rng.uniform(0, 30) if spaced else rng.uniform(40, 60))),
        omni=float(rng.uniform(0.7, 1.0) if spaced else rng.uniform(0.4, 0.55)),
        diffuse_db=float(rng.uniform(-9, 1)),
    )


def random_seats(
    room: Room, players: int, rng: np.random.Generator
) -> list[tuple[float, float, float]]:
    """Seats on an arc before the pair, from one side to the other, in metres."""
    length, width, _ = room.size_m
    opening = np.deg2rad(rng.uniform(50, 130))
    radius = rng.uniform(1.5, min(4.5, 0.6 * length))
    angles = np.linspace(-0.5, 0.5, players) * opening if players > 1 else np.zeros(1)
    angles = angles + rng.normal(0, 0.06, players)
    seats = []
    for angle in angles:
        distance = radius * rng.uniform(0.85, 1.2)
        x = np.clip(room.pair_m[0] + distance * np.cos(angle), 0.4, length - 0.4)
        y = np.clip(room.pair_m[1] + distance * np.sin(angle), 0.4, width - 0.4)
        seats.append((float(x), float(y), float(rng.uniform(0.9, 1.4))))
    return seats


def random_tone(rng: np.random.Generator, amount: float = 1.0) -> np.ndarray:
    """A gentle random equaliser: second-order sections (4, 6), minimum phase.

    Low and high shelf up to about 4 dB, two wide peaks up to about 5 dB, times `amount`.
    """
    low = _shelf(float(rng.uniform(120, 350)), amount * float(rng.normal(0, 1.8)), high=False)
    high = _shelf(float(rng.uniform(2500, 7000)), amount * float(rng.normal(0, 2.2)), high=True)
    peaks = [
        _peak(float(np.exp(rng.uniform(*span))), amount * float(rng.normal(0, 2.2)))
        for span in (np.log((250, 1200)), np.log((1200, 6000)))
    ]
    return np.stack([low, high, *peaks])


def impulse_response(
    room: Room,
    seat_m: tuple[float, float, float],
    rng: np.random.Generator,
    tone: np.ndarray | None = None,
) -> np.ndarray:
    """From a seat to the two microphones.

    The direct sound has unit energy in the mean of both channels and arrives after at most some 10 ms.

    Args:
        tone: second-order sections (sections, 6) applied on the way.

    Returns:
        (2, samples) float32.
    """
    tail_s = min(_LONGEST_TAIL_S, 0.9 * room.decay_s)
    response = np.zeros((_IMAGE_ORDER + 1, 2, int(tail_s * SAMPLE_RATE_HZ)))
    pair = np.array(room.pair_m)
    seat = np.array(seat_m)
    microphones = pair + np.array([[0, -0.5, 0], [0, 0.5, 0]]) * room.spacing_m
    axes = np.array([[np.cos(a), np.sin(a), 0] for a in (-room.angle_rad, room.angle_rad)])
    distance = float(np.linalg.norm(seat - pair))
    images, orders = _images(seat, np.array(room.size_m))
    for channel in range(2):
        rays = images - microphones[channel]
        ranges = np.linalg.norm(rays, axis=1)
        directivity = room.omni + (1 - room.omni) * (rays @ axes[channel]) / ranges
        gains = directivity * room.reflection**orders * distance / ranges
        delays = (ranges - distance) / SPEED_OF_SOUND * SAMPLE_RATE_HZ + 2 * _SINC_HALF_WIDTH
        # A spaced pair hears some seats before the point between its microphones does.
        delays += room.spacing_m / SPEED_OF_SOUND * SAMPLE_RATE_HZ
        for delay, gain, order in zip(delays, gains, orders, strict=True):
            _add_impulse(response[order, channel], delay, gain)
    # Walls and air take the treble first: one pole more for each reflection.
    early = response[_IMAGE_ORDER]
    for order in range(_IMAGE_ORDER - 1, -1, -1):
        early = response[order] + signal.lfilter([0.75], [1, -0.25], early, axis=-1)
    direct_energy = float(np.mean(np.sum(response[0] ** 2, axis=-1)))
    whole = early + np.sqrt(direct_energy) * _tail(room, distance, early.shape[-1], rng)
    if tone is not None:
        whole = signal.sosfilt(tone, whole, axis=-1)
    return (whole / np.sqrt(direct_energy)).astype(np.float32)


def reverberate(dry: np.ndarray, response: np.ndarray) -> np.ndarray:
    """A dry stem in the room.

    Args:
        dry: (samples,).
        response: (2, taps).

    Returns:
        (2, samples) float32: the reverberation after the end of the stem is cut off.
    """
    wet = signal.oaconvolve(dry[None, :].astype(np.float32), response, axes=1)
    return np.asarray(wet[:, : len(dry)], np.float32)


def _images(seat: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image sources up to the reflection order: positions (images, 3) and orders (images,)."""
    positions, orders = [], []
    for cell in product(range(-_IMAGE_ORDER, _IMAGE_ORDER + 1), repeat=3):
        order = int(np.abs(cell).sum())
        if order <= _IMAGE_ORDER:
            # In odd cells of the mirrored lattice the source lies the other way round.
            index = np.array(cell)
            positions.append(index * size + np.where(index % 2 == 0, seat, size - seat))
            orders.append(order)
    return np.array(positions), np.array(orders)


def _add_impulse(channel: np.ndarray, delay: float, gain: float) -> None:
    """A band-limited impulse at a fractional sample."""
    whole = int(np.floor(delay))
    index = np.arange(whole - _SINC_HALF_WIDTH + 1, whole + _SINC_HALF_WIDTH + 1)
    if index[0] < 0 or index[-1] >= len(channel):
        return
    offset = index - delay
    window = np.cos(0.5 * np.pi * offset / _SINC_HALF_WIDTH) ** 2
    channel[index] += gain * np.sinc(offset) * window


def _tail(room: Room, distance: float, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Diffuse reverberation for a direct sound of unit energy: (2, samples)."""
    time = np.arange(samples) / SAMPLE_RATE_HZ
    # The tail takes over where the image sources thin out: a few mean free times.
    length, width, height = room.size_m
    surface = 2 * (length * width + length * height + width * height)
    begin_s = 2.0 * 4 * room.volume_m3 / (surface * SPEED_OF_SOUND)
    fade_in = np.clip((time - 0.5 * begin_s) / begin_s, 0, 1) ** 2
    noise = rng.standard_normal((2, samples))
    spectrum = np.fft.rfft(noise, axis=-1)
    frequencies = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE_HZ)
    low = 1 / (1 + (frequencies / 400) ** 4)
    high = 1 / (1 + (3000 / np.maximum(frequencies, 1e-3)) ** 4)
    tail = np.zeros_like(noise)
    for band, share in ((low, 1.1), (1 - low - high, 1.0), (high, 0.55)):
        decay = np.exp(-6.91 * time / (room.decay_s * share))
        tail += np.fft.irfft(spectrum * band, samples, axis=-1) * decay
    # Distance at which direct and diffuse sound are equally loud: 0.057 sqrt(V / T60).
    critical = 0.057 * np.sqrt(room.volume_m3 / room.decay_s)
    energy = (distance / critical) ** 2 * 10 ** (room.diffuse_db / 10)
    return tail * fade_in * np.sqrt(energy / max(np.mean(np.sum(tail**2, axis=-1)), 1e-12))


def _shelf(frequency_hz: float, gain_db: float, high: bool) -> np.ndarray:
    """Shelving filter, slope 1 (Bristow-Johnson, Audio EQ Cookbook): (6,)."""
    a = 10 ** (gain_db / 40)
    omega = 2 * np.pi * frequency_hz / SAMPLE_RATE_HZ
    cosine, alpha = np.cos(omega), np.sin(omega) / np.sqrt(2)
    root = 2 * np.sqrt(a) * alpha
    sign = 1 if high else -1
    b = a * np.array(
        [
            (a + 1) + sign * (a - 1) * cosine + root,
            -2 * sign * ((a - 1) + sign * (a + 1) * cosine),
            (a + 1) + sign * (a - 1) * cosine - root,
        ]
    )
    d = np.array(
        [
            (a + 1) - sign * (a - 1) * cosine + root,
            2 * sign * ((a - 1) - sign * (a + 1) * cosine),
            (a + 1) - sign * (a - 1) * cosine - root,
        ]
    )
    return np.concatenate([b, d]) / d[0]


def _peak(frequency_hz: float, gain_db: float, quality: float = 0.9) -> np.ndarray:
    """Peaking filter (Bristow-Johnson, Audio EQ Cookbook): (6,)."""
    a = 10 ** (gain_db / 40)
    omega = 2 * np.pi * frequency_hz / SAMPLE_RATE_HZ
    cosine, alpha = np.cos(omega), np.sin(omega) / (2 * quality)
    b = np.array([1 + alpha * a, -2 * cosine, 1 - alpha * a])
    d = np.array([1 + alpha / a, -2 * cosine, 1 - alpha / a])
    return np.concatenate([b, d]) / d[0]
