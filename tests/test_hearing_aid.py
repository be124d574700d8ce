"""The hearing aid compared with pyclarity's and with the theory of a compressor."""

import numpy as np
import pytest
from clarity.enhancer.multiband_compressor import MultibandCompressor
from hypothesis import given, settings
from hypothesis import strategies as st

from cmss.errors import InputError
from cmss.hearing.hearing_aid import HearingAid
from cmss.scenes import Audiogram, Compression, Ear, Listener

RATE_HZ = 44100
EDGES_HZ = (353.55, 707.11, 1414.21, 2828.43, 5656.85)
CENTRES_HZ = (250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
CHALLENGE = {
    "crossover_frequencies": EDGES_HZ,
    "attack": (11, 11, 14, 13, 11, 11),
    "release": (80, 80, 80, 80, 100, 100),
    "threshold": (-30,) * 6,
}
DEVICE = HearingAid(**CHALLENGE)
# Where rounding is amplified most (poles next to z = 1) equal operations still give equal results.
TOLERANCE = 1e-9


def compression(ratios, gains_db):
    return Compression(CENTRES_HZ, tuple(ratios), tuple(gains_db))


def listener(left, right):
    audiogram = Audiogram(CENTRES_HZ, (0.0,) * 6)
    return Listener("L0001", Ear(audiogram, left), Ear(audiogram, right))


def pyclarity(signal, ear, device=CHALLENGE, rate_hz=RATE_HZ):
    parameters = {name: list(device[name]) for name in ("attack", "release", "threshold")}
    peer = MultibandCompressor(list(device["crossover_frequencies"]), sample_rate=rate_hz)
    peer.set_compressors(**parameters, ratio=list(ear.ratios), makeup_gain=list(ear.gains_db))
    return peer(signal.copy())[0]


def tone(frequency_hz, amplitude, seconds=1.0):
    return amplitude * np.sin(
        2 * np.pi * frequency_hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    )


six = st.lists(st.floats(0, 1), min_size=6, max_size=6)


@settings(max_examples=15, deadline=None)
@given(
    ratios=six,
    gains=six,
    level_db=st.floats(-90, 0),
    samples=st.integers(1, 20_000),
    silent=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_equals_pyclarity(ratios, gains, level_db, samples, silent, seed):
    ear = compression(1 + 5 * np.array(ratios), 30 * np.array(gains))
    signal = 10 ** (level_db / 20) * np.random.default_rng(seed).uniform(-1, 1, samples)
    signal[: int(silent * samples)] = 0
    np.testing.assert_allclose(
        DEVICE.amplify_ear(signal, ear), pyclarity(signal, ear), rtol=0, atol=TOLERANCE
    )


def test_equals_pyclarity_on_long_music_like_sound():
    rng = np.random.default_rng(1)
    swell = np.interp(np.arange(8 * RATE_HZ), np.arange(9) * RATE_HZ, rng.uniform(0, 0.3, 9))
    signal = swell * sum(tone(220 * k, 1 / k, 8) for k in range(1, 40))
    ear = compression((2.1, 1.5, 1.3, 1.5, 2.4, 3.7), (9.6, 11.9, 12.9, 16.4, 19.0, 28.0))
    difference = DEVICE.amplify_ear(signal, ear) - pyclarity(signal, ear)
    assert np.abs(difference).max() < TOLERANCE


@pytest.mark.parametrize("edges", [(1000,), (500, 2000), (353.55, 1414.21, 5656.85)])
@pytest.mark.parametrize("rate_hz", [16000, 48000])
def test_other_bands_and_rates(edges, rate_hz):
    bands = len(edges) + 1
    device = {"crossover_frequencies": edges, "attack": (5,) * bands, "release": (50,) * bands}
    device["threshold"] = (-40,) * bands
    ear = compression((3.0,) * bands, (10.0,) * bands)
    signal = np.random.default_rng(2).uniform(-0.5, 0.5, rate_hz // 4)
    np.testing.assert_allclose(
        HearingAid(**device, sample_rate_hz=rate_hz).amplify_ear(signal, ear),
        pyclarity(signal, ear, device, rate_hz),
        rtol=0,
        atol=TOLERANCE,
    )


def test_each_ear_gets_its_own_compression_and_the_input_is_left_alone():
    left, right = compression((1,) * 6, (0,) * 6), compression((3,) * 6, (12,) * 6)
    stereo = np.random.default_rng(3).uniform(-0.5, 0.5, (2, 5000)).astype(np.float32)
    stereo.flags.writeable = False
    before = stereo.copy()
    output = DEVICE(stereo, listener(left, right))
    assert output.dtype == np.float64
    np.testing.assert_array_equal(stereo, before)
    np.testing.assert_array_equal(output[0], DEVICE.amplify_ear(stereo[0], left))
    np.testing.assert_array_equal(output[1], DEVICE.amplify_ear(stereo[1], right))


@pytest.mark.parametrize("seed", range(5))
def test_pieces_of_any_lengths_give_equal_samples(seed):
    rng = np.random.default_rng(seed)
    ears = listener(
        *(compression(rng.uniform(1, 6, 6), rng.uniform(0, 30, 6)) for _ in ("left", "right"))
    )
    signal = rng.uniform(0, 0.5, 1) * rng.uniform(-1, 1, (2, 30_000))
    cuts = np.sort(rng.integers(0, 30_001, 9))
    amplified = [*DEVICE.in_pieces(np.split(signal, [cuts[0], *cuts], axis=1), ears)]
    np.testing.assert_array_equal(np.concatenate(amplified, axis=1), DEVICE(signal, ears))


def test_below_the_threshold_it_is_a_linear_all_pass_with_make_up_gain():
    signal = 1e-3 * np.random.default_rng(4).standard_normal(RATE_HZ)
    ear = compression((4,) * 6, (6,) * 6)
    spectrum = np.abs(np.fft.rfft(np.pad(DEVICE.amplify_ear(signal, ear), (0, RATE_HZ))))
    expected = 10 ** (6 / 20) * np.abs(np.fft.rfft(np.pad(signal, (0, RATE_HZ))))
    middle = slice(200, 40_000)  # the ringing cut off at the end smears the lowest bins
    np.testing.assert_allclose(spectrum[middle].sum(), expected[middle].sum(), rtol=1e-3)


@pytest.mark.parametrize(("band", "frequency_hz"), [(0, 50), (1, 10_000)])
@pytest.mark.parametrize("level_db", [-70, -30, -10])
def test_steady_tones_follow_the_static_curve(band, frequency_hz, level_db):
    """Threshold + (level - threshold) / ratio + gain, once attack and release have settled."""
    ratios, gains_db = (2.5, 4.0), (9.0, 20.0)
    # Five octaves from the edge the other band adds little; a slow release holds the peak.
    device = HearingAid((1600,), attack=0.05, release=2000.0, threshold=-50.0)
    signal = tone(frequency_hz, 10 ** (level_db / 20))
    output = device.amplify_ear(signal, Compression((400.0, 6400.0), ratios, gains_db))
    expected_db = level_db + gains_db[band]
    if level_db > -50:
        expected_db = -50 + (level_db + 50) / ratios[band] + gains_db[band]
    assert 20 * np.log10(np.abs(output[-4410:]).max()) == pytest.approx(expected_db, abs=0.25)


def test_the_attack_takes_the_time_it_is_given():
    """The gain reduction reaches 1 - 1/e of its final value after the attack time."""
    device = HearingAid((353.55,), attack=50.0, release=1e6, threshold=-40.0)
    ear = Compression((100.0, 1000.0), (1e9, 1e9), (0.0, 0.0))
    constant = np.full(RATE_HZ, 0.1)  # zero frequency: only the lowest band, without ripple
    gain_db = 20 * np.log10(device.amplify_ear(constant, ear)[1000:] / 0.1)
    reached = 1000 + np.argmax(gain_db < -20 * (1 - np.exp(-1)))
    assert reached / RATE_HZ == pytest.approx(0.050, abs=0.003)


def test_silence_stays_silence():
    assert not np.any(DEVICE.amplify_ear(np.zeros(2000), compression((3,) * 6, (20,) * 6)))


def test_a_nan_is_passed_on():
    signal = np.zeros(100)
    signal[50] = np.nan
    assert np.isnan(DEVICE.amplify_ear(signal, compression((3,) * 6, (20,) * 6))[50:]).all()


def test_bad_fields_are_reported_together():
    with pytest.raises(InputError) as error:
        HearingAid((707, 353), attack=(1, 2), release=-1, threshold=-130)
    assert [problem.split(":")[0] for problem in error.value.problems] == [
        "enhancer.crossover_frequencies",
        "enhancer.attack",
        "enhancer.release",
        "enhancer.threshold",
    ]
    with pytest.raises(InputError, match="expected 6 ratios and gains, got 2 and 6"):
        DEVICE.amplify_ear(np.zeros(10), compression((1, 2), (0,) * 6))
