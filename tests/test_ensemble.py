"""Ensembles: weights by instrument and band, and what members share."""

import numpy as np
import pytest

from cmss.errors import InputError
from cmss.separators import build_separator
from cmss.separators.bounds import Passthrough
from cmss.separators.ensemble import Ensemble, Member
from tests.support.separation import RATE_HZ, Fixed, convtasnet, noise, sources, write_small


class Constant:
    """Estimates the same number everywhere, and counts how often it is asked."""

    def __init__(self, value: float, sample_rate_hz: int = RATE_HZ) -> None:
        self.value, self.sample_rate_hz = value, sample_rate_hz
        self.weights = {f"{value}.safetensors": "digest"}
        self.asked = 0
        self.prepared: list[str] = []

    def prepare(self, sources):
        self.prepared = [source.instrument for source in sources]

    def separate(self, mixture, sources):
        self.asked += 1
        return {key: np.full_like(mixture, self.value) for key in sources}


@pytest.mark.parametrize(("normalise", "total"), [(False, 1), (True, 2.3)])
def test_members_are_weighted_by_instrument_and_by_ratios_alone_where_asked(normalise, total):
    members = [Member(Constant(1), {"Oboe": 0.7, "Cello": 2}), Member(Constant(5), 0.3)]
    stems = Ensemble(members, normalise).separate(noise(), sources("Cello", "Oboe"))
    np.testing.assert_allclose(stems["source_1"], (2 * 1 + 0.3 * 5) / total, rtol=1e-6)
    np.testing.assert_allclose(stems["source_2"], 0.7 * 1 + 0.3 * 5, rtol=1e-6)


def test_each_band_has_a_weight_of_its_own():
    """Tones of 200 and 2000 Hz: one member counts below, the other above 700 Hz."""
    time = np.arange(RATE_HZ) / RATE_HZ
    low, high = (np.float32(np.sin(2 * np.pi * hz * time) * np.hanning(RATE_HZ)) * np.ones((2, 1))
                 for hz in (200, 2000))  # fmt: skip
    first, second = Constant(0), Constant(0)
    first.separate = lambda mixture, sources: dict.fromkeys(sources, mixture)
    second.separate = lambda mixture, sources: dict.fromkeys(sources, 3 * mixture)
    members = [Member(first, {"Oboe": [1, 0]}), Member(second, {"Oboe": [0, 0.5]})]
    mixture = (low + high).astype(np.float32)
    stem = Ensemble(members, edges_hz=[700]).separate(mixture, sources("Oboe"))["source_1"]
    # Float32, and what of the tones' Hann window lies beyond the edge.
    np.testing.assert_allclose(stem, low + 1.5 * high, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("edges", "weight", "message"),
    [
        ([700], [1, 2, 3], "3 weights for Oboe, expected 1 or 2"),
        ([700, 500], 1, "expected ascending frequencies"),
    ],
)
def test_bands_that_do_not_fit_are_refused(edges, weight, message):
    with pytest.raises(InputError, match=message):
        Ensemble([Member(Constant(1), weight)], edges_hz=edges).prepare(sources("Oboe").values())


def test_a_member_without_weight_is_left_alone():
    idle, busy = Constant(1), Constant(2)
    ensemble = Ensemble([Member(idle, {"Oboe": 0, "Cello": 1}), Member(busy, 1)])
    track = sources("Oboe")
    ensemble.prepare(track.values())
    ensemble.separate(noise(), track)
    assert (idle.asked, busy.asked) == (0, 1)
    assert (idle.prepared, busy.prepared) == ([], ["Oboe"])


def test_an_ensemble_names_the_weights_of_all_members():
    ensemble = Ensemble([Member(Constant(1), 1), Member(Constant(2), 1)])
    assert ensemble.weights == {"1.safetensors": "digest", "2.safetensors": "digest"}


@pytest.mark.parametrize(
    ("weight", "message"),
    [({"Cello": 1}, "no weight for Oboe"), (0, "the weights for Oboe sum to 0")],
)
def test_an_instrument_without_weights_is_found_beforehand(weight, message):
    with pytest.raises(InputError, match=message):
        Ensemble([Member(Constant(1), weight)]).prepare(sources("Oboe").values())


def test_members_at_two_sampling_rates_are_refused():
    with pytest.raises(InputError, match="the same sampling rate for all separators"):
        Ensemble([Member(Constant(1), 1), Member(Constant(1, 22050), 1)])


def test_an_ensemble_from_its_settings_hands_down_what_is_common(tmp_path):
    path = write_small(tmp_path)
    members = [{"name": "convtasnet", "weights_from": str(path), "device": "cpu", "weight": 2}]
    ensemble = build_separator(
        {"name": "ensemble", "causality": "noncausal", "normalise": True, "members": members},
        RATE_HZ,
    )
    alone = convtasnet(path)
    track, mixture = sources("Oboe", "Viola_1", "Viola_2"), noise(RATE_HZ // 2)
    expected = alone.separate(mixture, track)
    for key, stem in ensemble.separate(mixture, track).items():
        np.testing.assert_allclose(stem, expected[key], rtol=1e-5, atol=1e-7)
    with pytest.raises(InputError, match=r"separator\.causality"):
        build_separator({"name": "ensemble", "causality": "causal", "members": members}, RATE_HZ)


class Shares(Constant):
    """Gives each source a share of the mixture, in order."""

    def __init__(self, *shares: float) -> None:
        super().__init__(0.0)
        self.shares = shares

    def separate(self, mixture, sources):
        return {
            key: np.float32(share) * mixture
            for key, share in zip(sources, self.shares, strict=True)
        }


@pytest.mark.parametrize("scale", [1.0, 0.2])
def test_in_a_logarithmic_pool_who_is_sure_decides(scale):
    """Odds are multiplied: 99 to 1 and, with a third of the weight, 1 to 1 are 99^0.75 to 1."""
    members = [Member(Shares(0.99, 0.01), 0.75 * scale), Member(Shares(0.5, 0.5), 0.25 * scale)]
    mixture = noise()
    stems = Ensemble(members, pool="logarithmic").separate(mixture, sources("Oboe", "Cello"))
    share = 99**0.75 / (1 + 99**0.75)
    # A ten-thousandth of doubt is added to each share, so that none has the logarithm of zero.
    np.testing.assert_allclose(stems["source_1"], share * mixture, rtol=5e-4, atol=1e-6)
    np.testing.assert_allclose(sum(stems.values()), mixture, rtol=0, atol=1e-6)


def test_each_band_has_a_pool_of_its_own():
    """Tones of 200 and 2000 Hz: one member counts below, the other above 700 Hz."""
    time = np.arange(RATE_HZ) / RATE_HZ
    low, high = (np.float32(np.sin(2 * np.pi * hz * time) * np.hanning(RATE_HZ)) * np.ones((2, 1))
                 for hz in (200, 2000))  # fmt: skip
    members = [Member(Shares(1, 0), [1, 0]), Member(Shares(0, 1), [0, 1])]
    mixture = (low + high).astype(np.float32)
    ensemble = Ensemble(members, edges_hz=[700], pool="logarithmic")
    stems = ensemble.separate(mixture, sources("Oboe", "Cello"))
    # Doubt leaves a ten-thousandth of either with the other, and the windows' lobes less.
    np.testing.assert_allclose(stems["source_1"], low, rtol=0, atol=1e-3)
    np.testing.assert_allclose(stems["source_2"], high, rtol=0, atol=1e-3)


def test_a_pool_leaves_silence_silent():
    members = [Member(Shares(1, 0), 0.5), Member(Shares(1, 0), 0.5)]
    mixture = noise()
    stems = Ensemble(members, pool="logarithmic").separate(mixture, sources("Oboe", "Cello"))
    assert not stems["source_2"].any()
    np.testing.assert_allclose(stems["source_1"], mixture, rtol=0, atol=1e-6)
    stems = Ensemble(members, pool="logarithmic").separate(0 * mixture, sources("Oboe", "Cello"))
    assert not any(stem.any() for stem in stems.values())


def test_another_pool_is_refused():
    with pytest.raises(InputError, match=r"ensemble\.pool: 'median', expected one of linear, log"):
        Ensemble([Member(Constant(1), 1.0)], pool="median")


@pytest.mark.parametrize("pool", ["linear", "logarithmic"])
def test_a_member_without_stems_estimates_silence(pool):
    mixture, track = noise(9000), sources("Oboe", "Flute")
    estimates = Fixed(noise(9000, seed=2), mixture)
    silence = Fixed(np.zeros_like(mixture), np.zeros_like(mixture))
    with_none, with_silence = (
        Ensemble([Member(estimates, 0.75), Member(other, 0.25)], pool=pool).separate(mixture, track)
        for other in (Passthrough(sample_rate_hz=RATE_HZ), silence)
    )
    for key in track:
        np.testing.assert_array_equal(with_none[key], with_silence[key])
