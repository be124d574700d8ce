"""cmss.amplify and cmss.score: audiograms, levels, ears, agreement with the stages."""

import warnings

import numpy as np
import pytest
import soxr
import torch

import cmss
from cmss.audio import loudness_lufs
from cmss.hearing.hearing_aid import HearingAid
from cmss.run.configuration import default_hearing_aid
from cmss.run.scoring import Scorer
from cmss.scenes import Pair, load_pairs
from tests.support.tiny_challenge import RATE_HZ, TinyChallenge

MILD = [20, 20, 30, 45, 60, 70]
NOISE = 0.01 * np.random.default_rng(4).standard_normal((2, RATE_HZ))
HZ = (250, 500, 1000, 2000, 4000, 8000)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Pair:
    return load_pairs(TinyChallenge(tmp_path_factory.mktemp("challenge")).paths())[0]


@pytest.fixture
def aid() -> HearingAid:
    return default_hearing_aid(RATE_HZ)


SAME = {
    "list": MILD,
    "tuple": tuple(MILD),
    "array": np.array(MILD),
    "tensor": torch.tensor(MILD),
    "dict": dict(zip(HZ, MILD, strict=True)),
    "dict in another order": dict(reversed([*zip(HZ, MILD, strict=True)])),
    "both ears": (MILD, MILD),
    "array of both ears": np.array([MILD, MILD]),
    "list and dict": [MILD, dict(zip(HZ, MILD, strict=True))],
}


@pytest.mark.parametrize("audiogram", SAME.values(), ids=SAME)
def test_forms_of_an_audiogram(audiogram):
    expected = cmss.amplify(NOISE, RATE_HZ, MILD)
    np.testing.assert_array_equal(cmss.amplify(NOISE, RATE_HZ, audiogram), expected)


def test_eight_levels_are_those_of_the_challenge():
    hz = (250, 500, 1000, 2000, 3000, 4000, 6000, 8000)
    levels = [20, 20, 30, 45, 50, 60, 65, 70]
    np.testing.assert_array_equal(
        cmss.amplify(NOISE, RATE_HZ, levels),
        cmss.amplify(NOISE, RATE_HZ, dict(zip(hz, levels, strict=True))),
    )


WRONG_AUDIOGRAMS = {
    "five levels": ([20] * 5, "audiogram: expected 6 levels (250, 500, 1000, 2000, 4000, 8000 Hz)"),
    "two levels": ([20, 30], "got 2"),
    "one ear with five": (([20] * 6, [20] * 5), "audiogram: right ear: expected 6 levels"),
    "nan": ([20, 20, np.nan, 20, 20, 20], "audiogram: levels: expected -20 to 130 dB HL, got nan"),
    "negative": ([-30] * 6, "audiogram: levels: look like losses with the sign reversed"),
    "in kHz": ({0.25: 20, 1: 30}, "audiogram: frequencies: look like kHz, expected Hz: 250, 1000"),
    "text": ("20,20,30", "audiogram: expected hearing levels in dB HL"),
    "texts": (["20"] * 6, "audiogram: expected hearing levels in dB HL, got '20'"),
    "named": ({"left": MILD}, "audiogram: expected frequencies in Hz as keys, got ['left']"),
    "bools": ([True] * 6, "audiogram: expected hearing levels in dB HL, got True"),
    "nothing": (None, "audiogram: expected hearing levels in dB HL"),
    "empty": ({}, "audiogram: expected frequencies in Hz as keys, got []"),
    "three ears": ([MILD] * 3, "got 3"),
    "an ear without": ((MILD, None), "audiogram: right ear: expected hearing levels"),
}


@pytest.mark.parametrize(("audiogram", "line"), WRONG_AUDIOGRAMS.values(), ids=WRONG_AUDIOGRAMS)
def test_refused_audiograms(audiogram, line):
    for call in (
        lambda: cmss.amplify(NOISE, RATE_HZ, audiogram),
        lambda: cmss.score(NOISE, NOISE, RATE_HZ, audiogram),
    ):
        with pytest.raises(cmss.InputError) as caught:
            call()
        (found,) = caught.value.problems
        assert line in found
        assert found.isprintable()


def test_an_unusual_audiogram_is_used_with_a_warning():
    with pytest.warns(UserWarning, match="unusual audiogram levels: 125"):
        cmss.amplify(NOISE, RATE_HZ, [125] * 6, limit=False)


def test_ears_have_the_form_of_the_signal():
    for signal, shape in (
        (NOISE, NOISE.shape),
        (NOISE.T, NOISE.T.shape),
        (NOISE[0], (RATE_HZ, 2)),
        (NOISE[:1], (2, RATE_HZ)),
        (torch.tensor(NOISE[:1].T, dtype=torch.float32), (RATE_HZ, 2)),
        (np.rint(NOISE * 2**15).astype(np.int16), NOISE.shape),
    ):
        ears = cmss.amplify(signal, RATE_HZ, (MILD, [0] * 6))
        assert type(ears) is type(signal)
        assert ears.dtype == signal.dtype
        assert ears.shape == shape


def test_without_loss_the_level_is_kept():
    # The bands of the crossover change the phase, so levels are compared: within 1 dB.
    for level in (0.003, 0.03, 0.3):
        signal = level * NOISE / NOISE.std()
        ears = cmss.amplify(signal, RATE_HZ, [0] * 6, limit=False)
        rise = loudness_lufs(ears, RATE_HZ) - loudness_lufs(signal, RATE_HZ)
        assert abs(rise) < 1, level


def test_amplification_at_any_level_and_rate_is_the_same():
    ears = cmss.amplify(NOISE, RATE_HZ, MILD, limit=False)
    # The level is restored; rounding of the loudness alone.
    louder = cmss.amplify(4 * NOISE, RATE_HZ, MILD, limit=False)
    np.testing.assert_allclose(louder, 4 * ears, rtol=0, atol=1e-7)
    low = soxr.resample(NOISE.T, RATE_HZ, 22050)
    quarter = cmss.amplify(low, 22050, MILD, limit=False)
    # A tenth of the samples at either end is left out: there, resampling filters see the edges.
    expected = soxr.resample(ears.T, RATE_HZ, 22050)
    inner = slice(len(low) // 10, -len(low) // 10)
    error = np.std((quarter - expected)[inner]) / np.std(expected[inner])
    assert quarter.shape == low.shape
    assert error < 0.2  # -14 dB: the upper band is compressed with less noise in it


def test_a_result_beyond_full_scale_is_attenuated_with_a_warning():
    loud = 30 * NOISE
    free = cmss.amplify(loud, RATE_HZ, [60] * 6, limit=False)
    with pytest.warns(UserWarning, match=r"attenuated by \d+\.\d dB"):
        limited = cmss.amplify(loud, RATE_HZ, [60] * 6)
    assert np.abs(limited).max() == pytest.approx(1)
    np.testing.assert_allclose(limited, free / np.abs(free).max())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cmss.amplify(NOISE, RATE_HZ, [10] * 6)


def test_uncalibrated_results_are_those_of_the_stages(pair, aid):
    listener = pair.listener
    audiogram = [
        dict(zip(ear.audiogram.frequencies_hz, ear.audiogram.levels_db, strict=True))
        for ear in (listener.left, listener.right)
    ]
    ears = cmss.amplify(NOISE, RATE_HZ, audiogram, calibrate=False, limit=False)
    noisy = ears + 0.01 * np.random.default_rng(5).standard_normal(ears.shape)
    found = cmss.score(noisy, NOISE, RATE_HZ, audiogram, calibrate=False)
    # The challenge's compressor of this listener may differ from the prescription by its rounding;
    # the audiogram and the scale are the same.
    left, right = Scorer(aid).score(NOISE, noisy, RATE_HZ, pair)
    assert found == pytest.approx((left.score, right.score), abs=0.02)
    assert found.mean == pytest.approx((found.left + found.right) / 2)
    assert found.left < cmss.score(ears, NOISE, RATE_HZ, audiogram, calibrate=False).left


def test_scores_do_not_depend_on_scale_form_or_the_random_generator():
    ears = cmss.amplify(NOISE, RATE_HZ, MILD, limit=False)
    noisy = ears + 0.005 * np.random.default_rng(6).standard_normal(ears.shape)
    state = np.random.get_state()[1].copy()
    scores = cmss.score(noisy, NOISE, RATE_HZ, MILD)
    assert (np.random.get_state()[1] == state).all()
    assert 0 < scores.left < 1
    np.random.seed(7)
    # Both signals are scaled to the same level; rounding alone.
    assert cmss.score(2 * noisy, 2 * NOISE, RATE_HZ, MILD) == pytest.approx(scores, abs=1e-6)
    form = cmss.score(torch.tensor(noisy.T), torch.tensor(NOISE.T), RATE_HZ, MILD)
    assert form == scores


def test_score_of_a_processed_signal_at_another_rate():
    ears = cmss.amplify(NOISE, RATE_HZ, MILD, limit=False)
    low = soxr.resample(ears.T, RATE_HZ, 32000).T
    scores = cmss.score(low, NOISE, 32000, MILD, reference_rate=RATE_HZ)
    # HAAQI compares both at 24 kHz; the resampling filters differ only near 12 kHz.
    assert scores.mean > 0.98


def test_refused_scores():
    one_ear = np.stack([NOISE[0], 0 * NOISE[0]])
    for arguments, line in (
        ((NOISE[:, :-9], NOISE, RATE_HZ), f"processed: expected {RATE_HZ} samples, the length of"),
        ((NOISE, NOISE[:, :-9], RATE_HZ), f"expected {RATE_HZ - 9} samples"),
        ((NOISE, one_ear, RATE_HZ), "the reference is silent in one ear"),
    ):
        with pytest.raises(cmss.InputError) as caught:
            cmss.score(*arguments, MILD)
        (found,) = caught.value.problems
        assert line in found
        assert "S0" not in found
    with pytest.raises(cmss.InputError, match="reference_rate: looks like kHz"):
        cmss.score(NOISE, NOISE, RATE_HZ, MILD, reference_rate=44.1)
