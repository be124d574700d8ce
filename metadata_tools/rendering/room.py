"""Simulates a room in which a pair of microphones records dry stems as stereo stems.

The direct sound and the early reflections are simulated by image sources in a rectangular room
(Allen and Berkley 1979, Journal of the Acoustical Society of America 65). The late reverberation is
noise that decays exponentially. The decay is faster at high frequencies. Statistical acoustics
gives the level of the late reverberation (Kuttruff, Room Acoustics, section 5.5). Each track has a
different room, and each player has a different seat and equaliser, so that a network cannot learn a
single room.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import signal

from cmss.rendering.acoustics import wall_absorption
from metadata_tools.challenge.writer import SAMPLE_RATE_HZ

SPEED_OF_SOUND = 343.0  # in m/s

_IMAGE_ORDER = 3
_SINC_HALF_WIDTH = 8


@dataclass(frozen=True)
class Room:
    """Defines a rectangular room with a stereo pair of microphones.

    Args:
        size_m: length, width and height of the room. The players sit in front of the microphone
            pair, along the first axis.
        decay_s: reverberation time (T60) at mid frequencies.
        pair_m: position of the centre of the microphone pair.
        spacing_m: distance between the two microphones, along the second axis.
        angle_rad: angle by which each microphone is turned outwards.
        omni: directivity of the microphones: 1 for omnidirectional microphones, 0.5 for cardioids.
        diffuse_db: level in dB of the late reverberation relative to the level that statistical
            acoustics predicts. Directional instruments and microphones reduce this level.
        spot: amplitude of the close microphones relative to the direct sound at the microphone
            pair. If `spot` is 0, there are no close microphones. Otherwise, each player has a close
            microphone, whose signal is aligned in time with the microphone pair and panned to the
            seat.
    """

    size_m: tuple[float, float, float]
    decay_s: float
    pair_m: tuple[float, float, float]
    spacing_m: float
    angle_rad: float
    omni: float
    diffuse_db: float
    spot: float = 0.0

    @property
    def volume_m3(self) -> float:
        """Volume of the room in cubic metres."""
        return float(np.prod(self.size_m))

    @property
    def reflection(self) -> float:
        """Amplitude reflection factor of the walls, from Sabine's formula for `decay_s`."""
        return float(np.sqrt(1 - min(0.95, wall_absorption(self.size_m, self.decay_s))))


def random_room(rng: np.random.Generator) -> Room:
    """Draw a room of random size, between a large living room and a hall for chamber music."""
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
        spot=float(rng.uniform(0.3, 1.5)) if rng.random() < 0.5 else 0.0,
    )


def random_seats(
    room: Room, players: int, rng: np.random.Generator
) -> list[tuple[float, float, float]]:
    """Draw the positions of seats, in metres, along an arc in front of the microphone pair."""
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
    """Draw a moderate minimum-phase equaliser.

    The equaliser has a low and a high shelf of up to about 4 dB, and two wide peaks of up to about
    5 dB. All gains in dB are multiplied by `amount`.

    Returns:
        The second-order sections of the equaliser, an array (4, 6).
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
    """Compute the impulse response from a seat to the two microphones.

    The mean energy of the direct sound over both channels is 1. The direct sound arrives within the
    first 2 ms of the impulse response.

    Args:
        room: room with a pair of microphones.
        seat_m: position of the player.
        rng: random generator for the late reverberation.
        tone: second-order sections (sections, 6) of the player's equaliser. If `tone` is None, the
            player has no equaliser.

    Returns:
        The impulse response (2, samples) in float32.
    """
    tail_s = min(1.6, 0.9 * room.decay_s)
    by_order = _reflections(room, np.array(seat_m), int(tail_s * SAMPLE_RATE_HZ))
    distance = float(np.linalg.norm(np.subtract(seat_m, room.pair_m)))
    direct = np.sqrt(np.mean(np.sum(by_order[0] ** 2, axis=-1)))
    # Walls and air attenuate high frequencies, so that each reflection adds a pole to the low-pass
    # filter.
    response = by_order[_IMAGE_ORDER]  # (2, samples)
    for order in range(_IMAGE_ORDER - 1, -1, -1):
        response = by_order[order] + signal.lfilter([0.75], [1, -0.25], response, axis=-1)
    response += direct * _tail(room, distance, response.shape[-1], rng)
    close = np.zeros_like(response)
    pan = np.pi / 4 + 0.5 * np.arctan2(seat_m[1] - room.pair_m[1], seat_m[0] - room.pair_m[0])
    for channel, panned in enumerate((np.cos(pan), np.sin(pan))):
        gain = direct * room.spot * np.sqrt(2) * panned
        _add_impulse(close[channel], _first_arrival(room), gain)
    response += close
    if tone is not None:
        response = signal.sosfilt(tone, response, axis=-1)
    direct_energy = np.mean(np.sum((by_order[0] + close) ** 2, axis=-1))
    return (response / np.sqrt(direct_energy)).astype(np.float32)


def place(dry: Mapping[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Place the players of a track in a random room, and draw a random balance of the players.

    Args:
        dry: dict from the label of a player to the dry stem (samples,).
        rng: random generator for the room, the seats, the equalisers and the balance.

    Returns:
        Dict from the label of a player to the stem (2, samples), in the same order. All stems
        are set to the same level, measured outside rests. The level of each stem is then changed by
        a random number from -5 to +4 dB. A silent stem remains silent.
    """
    room = random_room(rng)
    seats = random_seats(room, len(dry), rng)
    # The seats do not depend on the order of the players in the score.
    order = rng.permutation(len(seats))
    placed = {}
    for (label, stem), seat in zip(dry.items(), order, strict=True):
        response = impulse_response(room, seats[seat], rng, random_tone(rng))
        wet = reverberate(stem, response)
        balance = 10 ** (rng.uniform(-5.0, 4.0) / 20)
        placed[label] = wet * np.float32(balance / max(_sounding_rms(wet), 1e-9))
    return placed


def _sounding_rms(stem: np.ndarray) -> float:
    """Return the RMS over all frames of 0.1 s whose level is within 20 dB of the loudest frame."""
    hop = SAMPLE_RATE_HZ // 10
    frames = stem[:, : stem.shape[1] // hop * hop].reshape(2, -1, hop)
    power = np.mean(frames.astype(float) ** 2, axis=(0, 2))
    return float(np.sqrt(np.mean(power[power >= power.max() / 100])))


def reverberate(dry: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Convolve a dry stem with an impulse response.

    Args:
        dry: dry stem (samples,).
        response: impulse response (2, taps).

    Returns:
        The stem (2, samples) in float32. The reverberation after the end of the dry stem is cut
        off.
    """
    wet = signal.oaconvolve(dry[None, :].astype(np.float32), response, axes=1)
    return np.asarray(wet[:, : len(dry)], np.float32)


def _first_arrival(room: Room) -> float:
    """Return the sample at which the direct sound arrives at the centre of the microphone pair.

    Each impulse is a sinc function (:func:`_add_impulse`), whose first half comes before the
    arrival. The response has enough samples before the returned sample to hold the first half of
    the sinc function, even if a seat is closer to one of the microphones than to the centre of the
    pair.
    """
    return 2 * _SINC_HALF_WIDTH + room.spacing_m / SPEED_OF_SOUND * SAMPLE_RATE_HZ


def _reflections(room: Room, seat: np.ndarray, samples: int) -> np.ndarray:
    """Return the direct sound and the early reflections, separately for each reflection order.

    Returns:
        The impulse responses (orders + 1, 2, samples); order 0 is the direct sound.
    """
    response = np.zeros((_IMAGE_ORDER + 1, 2, samples))
    pair = np.array(room.pair_m)
    distance = float(np.linalg.norm(seat - pair))
    images, orders = _images(seat, np.array(room.size_m))
    for channel, side in enumerate((-1, 1)):
        rays = images - (pair + np.array([0, 0.5 * side * room.spacing_m, 0]))
        ranges = np.linalg.norm(rays, axis=1)
        angle = side * room.angle_rad
        towards = rays @ np.array([np.cos(angle), np.sin(angle), 0]) / ranges
        directivity = room.omni + (1 - room.omni) * towards
        gains = directivity * room.reflection**orders * distance / ranges
        delays = (ranges - distance) / SPEED_OF_SOUND * SAMPLE_RATE_HZ + _first_arrival(room)
        for delay, gain, order in zip(delays, gains, orders, strict=True):
            _add_impulse(response[order, channel], delay, gain)
    return response


def _images(seat: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions (images, 3) and reflection orders (images,) of the image sources."""
    positions, orders = [], []
    for cell in product(range(-_IMAGE_ORDER, _IMAGE_ORDER + 1), repeat=3):
        order = int(np.abs(cell).sum())
        if order <= _IMAGE_ORDER:
            # In odd cells of the lattice, the source is mirrored.
            index = np.array(cell)
            positions.append(index * size + np.where(index % 2 == 0, seat, size - seat))
            orders.append(order)
    return np.array(positions), np.array(orders)


def _add_impulse(channel: np.ndarray, delay: float, gain: float) -> None:
    """Add a band-limited impulse at a fractional sample position to a channel (samples,)."""
    before = int(np.floor(delay))
    index = np.arange(before - _SINC_HALF_WIDTH + 1, before + _SINC_HALF_WIDTH + 1)
    if index[0] < 0 or index[-1] >= len(channel):
        return
    offset = index - delay
    window = np.cos(0.5 * np.pi * offset / _SINC_HALF_WIDTH) ** 2
    channel[index] += gain * np.sinc(offset) * window


def _tail(room: Room, distance: float, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return the late reverberation (2, samples) that belongs to a direct sound of unit energy."""
    time = np.arange(samples) / SAMPLE_RATE_HZ
    # The late reverberation starts when the image sources become sparse, which is after a few
    # times the mean free time between reflections.
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
    # At the critical distance, 0.057 sqrt(V / T60), direct and diffuse sound are equally loud.
    critical = 0.057 * np.sqrt(room.volume_m3 / room.decay_s)
    energy = (distance / critical) ** 2 * 10 ** (room.diffuse_db / 10)
    return tail * fade_in * np.sqrt(energy / max(np.mean(np.sum(tail**2, axis=-1)), 1e-12))


def _shelf(frequency_hz: float, gain_db: float, high: bool) -> np.ndarray:
    """Return a shelving filter of slope 1 as a second-order section (6,).

    Source: Bristow-Johnson, Audio EQ Cookbook.
    """
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
    """Return a peaking filter as a second-order section (6,).

    Source: Bristow-Johnson, Audio EQ Cookbook.
    """
    a = 10 ** (gain_db / 40)
    omega = 2 * np.pi * frequency_hz / SAMPLE_RATE_HZ
    cosine, alpha = np.cos(omega), np.sin(omega) / (2 * quality)
    b = np.array([1 + alpha * a, -2 * cosine, 1 - alpha * a])
    d = np.array([1 + alpha / a, -2 * cosine, 1 - alpha / a])
    return np.concatenate([b, d]) / d[0]
