import numpy as np
import pytest
from scipy import signal

from metadata_tools.rendering.room import (
    Room,
    impulse_response,
    place,
    random_room,
    random_seats,
    random_tone,
    reverberate,
)

SAMPLE_RATE_HZ = 44100
RNG = np.random.default_rng
HALL = Room(
    size_m=(15.0, 10.0, 6.0),
    decay_s=1.0,
    pair_m=(4.0, 5.0, 2.0),
    spacing_m=0.17,
    angle_rad=np.deg2rad(55),
    omni=0.5,
    diffuse_db=0.0,
)


def test_the_player_on_one_side_is_louder_and_earlier_there():
    for side in (-1, 1):
        response = impulse_response(HALL, (6.0, 5.0 + 2.0 * side, 1.2), RNG(1))
        near, far = (response[0], response[1]) if side < 0 else (response[1], response[0])
        direct = slice(0, 150)
        assert np.sum(near[direct] ** 2) > 2 * np.sum(far[direct] ** 2)
        # 0.17 m across at 45 degrees: 0.12 m, 15 samples
        late = np.argmax(np.abs(far[direct])) - np.argmax(np.abs(near[direct]))
        assert late == pytest.approx(15, abs=2)


def test_the_first_reflection_comes_from_the_nearest_surface():
    # Straight ahead at 2 m, both 2 m above the floor: the mirrored path is sqrt(2^2 + 4^2) m.
    centred = Room((15.0, 10.0, 9.0), 0.3, (4.0, 5.0, 2.0), 0.0, 0.0, 1.0, -60.0)
    response = impulse_response(centred, (6.0, 5.0, 2.0), RNG(1))[0]
    direct = int(np.argmax(np.abs(response)))
    later = direct + 20 + int(np.argmax(np.abs(response[direct + 20 :])))
    expected = (np.sqrt(20) - 2) / 343 * SAMPLE_RATE_HZ
    assert later - direct == pytest.approx(expected, abs=2)


@pytest.mark.parametrize("decay_s", [0.5, 1.2])
def test_the_tail_decays_at_the_rate_of_the_room(decay_s):
    hall = Room(HALL.size_m, decay_s, HALL.pair_m, 0.17, 0.9, 0.5, 0.0)
    response = impulse_response(hall, (6.0, 5.0, 1.2), RNG(1))
    # Backward integration (Schroeder 1965) of the middle band, from 0.15 of T60 to 0.55.
    sections = signal.butter(2, (500, 2000), "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    energy = np.sum(signal.sosfilt(sections, response, axis=-1) ** 2, axis=0)
    curve_db = 10 * np.log10(np.cumsum(energy[::-1])[::-1])
    first, last = (int(share * decay_s * SAMPLE_RATE_HZ) for share in (0.15, 0.55))
    measured_s = 60 / (curve_db[first] - curve_db[last]) * (last - first) / SAMPLE_RATE_HZ
    assert measured_s == pytest.approx(decay_s, rel=0.15)


def test_a_close_microphone_makes_the_sound_drier():
    def direct_share(room):
        energy = np.sum(impulse_response(room, (7.0, 6.0, 1.2), RNG(1)) ** 2, axis=0)
        return energy[:150].sum() / energy.sum()

    spot = Room(*(getattr(HALL, name) for name in HALL.__dataclass_fields__ if name != "spot"), 1.5)
    assert direct_share(spot) > direct_share(HALL) + 0.1


def test_the_room_is_linear_and_keeps_the_length():
    dry = RNG(2).standard_normal(20000)
    response = impulse_response(HALL, (6.0, 4.0, 1.2), RNG(1))
    wet = reverberate(dry, response)
    assert wet.shape == (2, 20000)
    np.testing.assert_allclose(reverberate(2 * dry, response), 2 * wet, rtol=1e-5, atol=1e-4)
    expected = signal.fftconvolve(dry, response[1])[:20000]
    np.testing.assert_allclose(wet[1], expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("seed", range(8))
def test_random_rooms_have_their_players_inside(seed):
    rng = RNG(seed)
    room = random_room(rng)
    seats = random_seats(room, 5, rng)
    for point in [*seats, room.pair_m]:
        assert all(0 < x < size for x, size in zip(point, room.size_m, strict=True))
    assert np.isfinite(impulse_response(room, seats[0], rng, random_tone(rng))).all()


def test_the_tone_is_gentle_and_stable():
    for seed in range(20):
        sections = random_tone(RNG(seed))
        assert np.all(np.abs(np.concatenate([np.roots(s[3:]) for s in sections])) < 1)
        _, gain = signal.sosfreqz(sections, 512)
        assert np.abs(20 * np.log10(np.abs(gain))).max() < 20


def test_players_share_a_room_and_are_balanced():
    time = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    dry = {"a": np.sin(2 * np.pi * 440 * time), "b": 0.01 * np.sin(2 * np.pi * 300 * time)}
    placed = place(dry, RNG(3))
    first, second = (np.mean(stem[:, 20000:].astype(float) ** 2) for stem in placed.values())
    assert abs(10 * np.log10(first / second)) < 10  # the balance spans 9 dB
    assert list(placed) == ["a", "b"]


def test_a_silent_stem_stays_silent():
    placed = place({"a": np.zeros(10000), "b": RNG(1).standard_normal(10000)}, RNG(1))
    assert np.all(placed["a"] == 0)
