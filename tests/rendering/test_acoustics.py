"""Rooms and microphones of rendered mixtures: physics of the impulse responses."""

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from cmss.rendering.acoustics import Space, random_space, responses
from cmss.rendering.excerpts import convolved, random_seats

RATE_HZ = 22050


def response(space: Space, distance_m: float = 3.0, angle_rad: float = 0.0, seed: int = 0):
    arguments = np.array([angle_rad]), np.array([distance_m])
    return responses(space, *arguments, RATE_HZ, np.random.default_rng(seed))[0]


def hall(decay_s: float, **options) -> Space:
    return Space((16.0, 12.0, 8.0), decay_s, **options)


@pytest.mark.parametrize("decay_s", [0.4, 1.0, 2.5])
def test_the_level_falls_by_60_db_within_the_reverberation_time(decay_s):
    """From Schroeder's backward integral between -5 and -25 dB, at mid frequencies."""
    band = butter(4, [500, 2500], "bandpass", fs=RATE_HZ, output="sos")
    filtered = sosfiltfilt(band, response(hall(decay_s), 6.0).mean(0))
    energy = np.cumsum(filtered[::-1] ** 2)[::-1]
    level_db = 10 * np.log10(energy / energy[0])
    first, last = (int(np.argmax(level_db < level)) for level in (-5.0, -25.0))
    measured = 3 * (last - first) / RATE_HZ
    assert measured == pytest.approx(decay_s, rel=0.1)


def test_the_direct_sound_falls_with_the_distance_and_the_reverberation_does_not():
    # Coincident microphones, so that the direct sound arrives exactly at a sample.
    space = hall(1.5, spacing_m=0.0)
    near, far = (response(space, distance) for distance in (1.0, 4.0))
    late = slice(int(0.2 * RATE_HZ), None)
    direct = [np.abs(r[:, :60]).max() for r in (near, far)]
    assert direct[0] / direct[1] == pytest.approx(4.0, rel=0.02)
    energies = [np.sum(r[:, late] ** 2) for r in (near, far)]
    assert 10 * np.log10(energies[0] / energies[1]) == pytest.approx(0.0, abs=0.5)


def test_direct_and_diffuse_sound_are_equally_loud_at_the_critical_distance():
    space = hall(1.5, omni=1.0, spacing_m=0.0)
    heard = response(space, space.critical_m)
    direct = np.sum(heard[:, :40] ** 2)
    late = np.sum(heard[:, int(0.15 * RATE_HZ) :] ** 2)
    # The energy before 0.15 s, with early reflections, follows from the exponential decay that
    # begins at about 0.05 s. High frequencies decay faster.
    diffuse = late * 10 ** (6 * (0.15 - 0.05) / 1.5)
    assert 10 * np.log10(diffuse / direct) == pytest.approx(0.0, abs=3.0)


def test_a_dry_room_has_only_the_direct_sound():
    dry = response(Space((6.0, 5.0, 3.0), 0.0))
    assert np.abs(dry[:, 80:]).max() == 0
    assert np.abs(dry).max() > 0.1


@pytest.mark.parametrize("longest_s", [0.0, 4.0])
def test_the_direct_sound_of_every_seat_arrives_first(longest_s):
    """Also of seats that are moved away from a wall, which are nearer than their distance."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        space = random_space(longest_s, rng)
        seats = random_seats(space, 5, near=False, rng=rng)
        heard = responses(space, *seats, RATE_HZ, rng)
        # 3 ms, and the taps of the band-limited impulse.
        first = int(0.003 * RATE_HZ) + 16
        assert np.all(np.abs(heard[..., :first]).max(-1) > 0.01), seed


def test_a_player_on_the_right_is_louder_and_earlier_on_the_right():
    left, right = response(hall(0.0, spacing_m=0.3), 3.0, 0.6)
    assert np.abs(right).max() > 1.2 * np.abs(left).max()
    difference_s = (np.argmax(np.abs(left)) - np.argmax(np.abs(right))) / RATE_HZ
    assert difference_s == pytest.approx(0.3 * np.sin(0.6) / 343, abs=1 / RATE_HZ)


def test_rooms_go_from_dry_to_church():
    decays = [random_space(4.0, np.random.default_rng(n)).decay_s for n in range(300)]
    assert min(decays) < 0.25
    assert max(decays) > 3.0
    assert random_space(0.0, np.random.default_rng(0)).decay_s == 0


def test_near_microphones_are_closer_than_far_microphones():
    distances = {
        near: np.concatenate(
            [
                random_seats(hall(1.0), 4, near, np.random.default_rng(seed))[1]
                for seed in range(100)
            ]
        )
        for near in (True, False)
    }
    assert distances[True].max() < 2.0
    assert distances[False].mean() > 4 * distances[True].mean()


def test_convolution_and_equaliser():
    rng = np.random.default_rng(0)
    dry = rng.standard_normal((2, 3000)).astype(np.float32)
    taps = rng.standard_normal((2, 2, 400)).astype(np.float32)
    flat = np.ones((2, 10), np.float32)
    wet = convolved(dry, taps, flat, RATE_HZ)
    expected = [
        [np.convolve(d, channel)[:3000] for channel in t] for d, t in zip(dry, taps, strict=True)
    ]
    np.testing.assert_allclose(wet, expected, atol=1e-3)
    np.testing.assert_allclose(convolved(dry, taps, 2 * flat, RATE_HZ), 2 * wet, atol=1e-3)
