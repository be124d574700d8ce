from collections import Counter

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import firwin, lfilter

from cmss.audio import Excerpt, read_excerpt, write_flac
from cmss.errors import InputError
from cmss.files.digests import file_sha256
from cmss.models.checkpoint import save_checkpoint
from cmss.models.convtasnet import ConvTasNet, ConvTasNetArguments
from cmss.models.fourier_convtasnet import FourierConvTasNet
from cmss.models.outputs import ACCOMPANIMENT, OUTPUTS, TARGET
from cmss.separators import build_separator
from cmss.separators.estimators import (
    OneForAll,
    OnePerInstrument,
    Segments,
    output_names,
    run_resampled,
    share_out,
)
from tests.support.published_networks import COMMIT, fill_hub_cache, write_networks
from tests.support.separation import RATE_HZ, SMALL, convtasnet, noise, sources, write_small

CPU = torch.device("cpu")


class Halves(torch.nn.Module):
    """A network that says: a third of everything is the instrument, the rest accompanies it."""

    sample_rate_hz = RATE_HZ
    sources = (TARGET, ACCOMPANIMENT)
    reach = None

    def forward(self, mixture: torch.Tensor) -> torch.Tensor:
        return torch.stack((mixture / 3, 2 * mixture / 3), 1)


class Shelf:
    """Counts which networks are taken from it, and what they are given to do."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.runs: Counter[str] = Counter()

    def load(self, instrument: str) -> torch.nn.Module:
        self.loaded.append(instrument)
        network = Halves()
        network.register_forward_hook(lambda *_: self.runs.update([instrument]))
        return network


@pytest.fixture
def shelf():
    return Shelf()


def estimator(shelf: Shelf, add_residual: float = 0.0) -> OnePerInstrument:
    return OnePerInstrument(shelf.load, RATE_HZ, Segments(), CPU, add_residual)


# Players, instruments and networks.


def test_a_doubled_instrument_is_separated_once_and_not_summed_twice(shelf):
    track = sources("Violin_1", "Cello", "Violin_2")
    mixture = noise()
    stems = share_out(estimator(shelf)(mixture, output_names(track.values())), track)
    assert shelf.runs == {"Violin": 1, "Cello": 1}
    np.testing.assert_allclose(stems["source_1"] + stems["source_3"], mixture / 3, rtol=1e-6)
    np.testing.assert_allclose(stems["source_2"], mixture / 3, rtol=1e-6)


def test_the_official_way_gives_both_players_the_whole(shelf):
    track = sources("Violin_1", "Cello", "Violin_2")
    mixture = noise()
    stems = share_out(estimator(shelf)(mixture, output_names(track.values())), track, "whole")
    assert shelf.runs == {"Violin": 1, "Cello": 1}
    for stem in stems.values():
        np.testing.assert_allclose(stem, mixture / 3, rtol=1e-6)


def test_voices_with_outputs_of_their_own_share_them_or_keep_them():
    track = sources("Violin_1", "Violin_2")
    first, second = noise(seed=1), noise(seed=2)
    estimates = {"Violin": first, "Violin_2": second}
    for voices, expected in {
        "own": (first, second),
        "shared": ((first + second) / 2, (first + second) / 2),
        "whole": (first + second, first + second),
    }.items():
        stems = share_out(estimates, track, voices)
        np.testing.assert_allclose(stems["source_1"], expected[0], rtol=1e-6)
        np.testing.assert_allclose(stems["source_2"], expected[1], rtol=1e-6)


def test_a_member_of_an_ensemble_has_the_voices_that_it_has_alone():
    for name, voices in (("multichannel_unet", "own"), ("roformer", "shared")):
        alone = build_separator({"name": name, "voices": None}, 44100)
        members = [{"name": name, "weight": 1.0}]
        (member,) = build_separator({"name": "ensemble", "members": members}, 44100).members
        assert alone.voices == member.separator.voices == voices


def test_a_lone_second_voice_keeps_the_output_that_it_has():
    track, estimate = sources("Violin_2", "Cello"), noise(seed=2)
    for voices in ("own", "shared", "whole"):
        stems = share_out({"Violin_2": estimate, "Cello": noise()}, track, voices)
        np.testing.assert_array_equal(stems["source_1"], estimate)


def test_two_players_whom_nothing_tells_apart_share():
    track = sources("Violin", "Violin")
    assert output_names(track.values()) == ["Violin"]
    estimate = noise()
    stems = share_out({"Violin": estimate}, track)
    np.testing.assert_allclose(sum(stems.values()), estimate, rtol=1e-6)


def test_a_lone_second_voice_has_all_of_its_instrument(shelf):
    track = sources("Sax_2", "Cello")
    mixture = noise()
    stems = share_out(estimator(shelf)(mixture, output_names(track.values())), track)
    np.testing.assert_allclose(stems["source_1"], mixture / 3, rtol=1e-6)


def test_only_what_is_needed_is_loaded_and_only_once(shelf):
    estimate = estimator(shelf)
    assert shelf.loaded == []
    estimate(noise(), output_names(sources("Flute", "Sax_1", "Sax_2").values()))
    assert shelf.loaded == ["Flute", "Sax"]
    estimate(noise(), output_names(sources("Sax", "Oboe").values()))
    assert shelf.loaded == ["Flute", "Sax", "Oboe"]


def test_a_share_of_the_accompaniment_is_added(shelf):
    mixture = noise()
    (estimate,) = estimator(shelf, add_residual=0.1)(mixture, ["Oboe"]).values()
    np.testing.assert_allclose(estimate, mixture * (1 / 3 + 0.1 * 2 / 3), rtol=1e-5)


def test_one_network_for_all_is_asked_for_those_who_play(monkeypatch):
    network = FourierConvTasNet(SMALL).eval()
    asked = []
    forward = FourierConvTasNet.forward

    def listen(self, mixture, present=None):
        asked.append([name for name, there in zip(OUTPUTS, present[0], strict=True) if there])
        return forward(self, mixture, present)

    monkeypatch.setattr(FourierConvTasNet, "forward", listen)
    estimate = OneForAll(lambda: network, SMALL.samplerate, Segments(), CPU)
    mixture = noise(SMALL.samplerate // 2)
    estimates = estimate(mixture, ["Viola_2", "Cello", "Viola"])
    assert asked == [["Cello", "Viola", "Viola_2"]]
    assert list(estimates) == ["Viola_2", "Cello", "Viola"]
    np.testing.assert_allclose(sum(estimates.values()), mixture, rtol=0, atol=1e-4)


# Segments and sampling rates.


@settings(deadline=None, max_examples=40)
@given(
    samples=st.integers(1, 3 * 4410),
    segment=st.floats(0.1, 0.4),
    overlap=st.floats(0, 0.9),
)
def test_an_identity_gives_its_input_back_at_any_length(samples, segment, overlap):
    mixture = noise(samples)
    (output,) = run_resampled(
        lambda x: x, mixture, RATE_HZ, RATE_HZ, Segments(segment, overlap), CPU
    )
    np.testing.assert_allclose(output, mixture, rtol=0, atol=1e-6)


@pytest.mark.parametrize("network_rate_hz", [16000, 22050, 32000, 48000])
@pytest.mark.parametrize("samples", [44100, 44101, 61234])
def test_an_identity_at_another_rate_is_aligned(network_rate_hz, samples):
    """Below the network's Nyquist frequency the mixture comes back in place.

    A hundredth of a sample of delay at 5 kHz would leave -43 dB.
    """
    band = lfilter(firwin(501, 5000, fs=RATE_HZ), 1, noise(samples)).astype(np.float32)
    (output,) = run_resampled(lambda x: x, band, RATE_HZ, network_rate_hz, Segments(0.5, 0.2), CPU)
    assert output.shape == band.shape
    inside = slice(2000, -2000)  # where no edge of the signal is near
    error = output[:, inside] - band[:, inside]
    assert 10 * np.log10(np.mean(error**2) / np.mean(band[:, inside] ** 2)) < -60


@pytest.mark.parametrize("network_rate_hz", [16000, 22050, 32000])
def test_an_impulse_stays_at_its_sample(network_rate_hz):
    mixture = np.zeros((2, 30001), np.float32)
    mixture[0, 12345] = mixture[1, 23456] = 1
    (output,) = run_resampled(
        lambda x: x, mixture, RATE_HZ, network_rate_hz, Segments(0.3, 0.1), CPU
    )
    assert list(np.abs(output).argmax(-1)) == [12345, 23456]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"segment": 0}, "segment: 0, expected at least 0.1 s"),
        ({"segment": float("inf")}, "segment: inf, expected .* at most 3600 s"),
        ({"segment": float("nan")}, "segment: nan"),
        ({"overlap": 1}, "overlap: 1, expected 0 to 0.9"),
        ({"overlap": -0.1}, "overlap: -0.1"),
    ],
)
def test_segments_that_cannot_be_are_refused(settings, message):
    with pytest.raises(InputError, match=rf"separator\.separation\.{message}"):
        Segments(**settings)


# The separators themselves.


@pytest.mark.parametrize("official", [False, True])
def test_silence_in_finite_out(tmp_path, official):
    write_networks(tmp_path, ["Viola", "Cello"])
    track = sources("Viola_1", "Viola_2", "Cello")
    for weights in (tmp_path, write_small(tmp_path)):
        separator = convtasnet(weights, separation={"official": official})
        stems = separator.separate(np.zeros((2, RATE_HZ), np.float32), track)
        assert list(stems) == list(track)
        for stem in stems.values():
            assert stem.shape == (2, RATE_HZ)
            assert stem.dtype == np.float32
            assert np.isfinite(stem).all()


def test_published_and_own_weights_are_named_with_their_digest(tmp_path):
    write_networks(tmp_path, ["Viola", "Cello"])
    separator = convtasnet(tmp_path)
    separator.prepare(sources("Viola_1", "Viola_2").values())
    path = tmp_path / "ConvTasNet_Viola_NonCausal" / "model.safetensors"
    assert separator.weights == {str(path): file_sha256(path)}


def test_own_networks_of_one_instrument(tmp_path):
    arguments = ConvTasNetArguments(N=8, B=4, H=4, X=1, R=1)
    save_checkpoint(tmp_path / "Oboe" / "best.safetensors", "convtasnet", ConvTasNet(arguments))
    separator = convtasnet(tmp_path)
    assert separator.separate(noise(), sources("Oboe"))["source_1"].shape == (2, 3000)
    with pytest.raises(InputError, match="the network estimates a single instrument, expected"):
        convtasnet(tmp_path / "Oboe" / "best.safetensors")


def test_networks_with_other_outputs_are_refused(tmp_path):
    arguments = ConvTasNetArguments(N=8, B=4, H=4, X=1, R=1, C=3)
    save_checkpoint(tmp_path / "Oboe" / "best.safetensors", "convtasnet", ConvTasNet(arguments))
    save_checkpoint(
        tmp_path / "Flute" / "best.safetensors", "fourier_convtasnet", FourierConvTasNet(SMALL)
    )
    with pytest.raises(InputError) as caught:
        convtasnet(tmp_path).prepare(sources("Oboe", "Flute").values())
    assert [", expected target" in line for line in caught.value.problems] == [True, True]


def test_missing_networks_are_all_named_with_the_command_that_trains_them(tmp_path):
    write_networks(tmp_path, ["Viola"])
    with pytest.raises(InputError) as caught:
        convtasnet(tmp_path).prepare(sources("Viola", "Oboe", "Sax_1", "Sax_2").values())
    lines = caught.value.problems
    assert len(lines) == 2
    for line, instrument in zip(lines, ("Oboe", "Sax"), strict=True):
        assert line.startswith(f"{tmp_path / instrument / 'best.safetensors'}: no such weights")
        assert line.endswith(
            "python recipes/cad2/train.py model=convtasnet path.root=DATA "
            f"size=paper instrument={instrument}"
        )


def test_a_damaged_network_is_named(tmp_path):
    write_networks(tmp_path, ["Viola"])
    folder = tmp_path / "ConvTasNet_Viola_NonCausal"
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match=f"{folder}: not a Conv-TasNet in the format"):
        convtasnet(tmp_path).prepare(sources("Viola").values())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"name": "nonsense"},
            "separator: 'nonsense', expected one of ensemble, arunet, convtasnet",
        ),
        ({"name": "oracle", "device": "cpu"}, r"separator\.device: no such setting"),
        ({"name": "oracle", "causality": "both"}, r"separator\.causality: .*'causal' or 'nonc"),
        ({"name": "convtasnet", "weights_from": "nix"}, r"separator\.weights_from: 'nix', exp"),
        ({"name": "convtasnet", "device": "abacus"}, r"separator\.device: 'abacus' cannot be used"),
        (
            {"name": "convtasnet", "voices": "no"},
            r"separator\.voices: .*'shared', 'own' or",
        ),
        (
            {"name": "convtasnet", "separation": {"chunk": 1}},
            r"separator\.separation\.chunk: no such setting",
        ),
        ({"name": "ensemble", "members": []}, r"ensemble\.members: expected at least one"),
        (
            {"name": "ensemble", "members": [{"name": "oracle", "weight": "heavy"}]},
            r"ensemble\.members\.weight: .*got 'heavy'",
        ),
        (
            {"name": "ensemble", "members": [{"name": "oracle"}]},
            r"ensemble\.members: oracle has no weight",
        ),
    ],
)
def test_what_cannot_be_built_is_refused_by_key(settings, message):
    with pytest.raises(InputError, match=message):
        build_separator(settings, RATE_HZ)


def test_a_share_of_an_accompaniment_that_is_not_estimated_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"add_residual: 0\.1, but .* does not estimate an accompaniment"
    ):
        convtasnet(write_small(tmp_path), add_residual=0.1)


def test_small_weights_are_not_causal(tmp_path):
    with pytest.raises(InputError, match=r"separator\.causality: causal, but .* is noncausal"):
        convtasnet(write_small(tmp_path), causality="causal")


def test_the_oracle_gives_the_true_stems_and_passthrough_none(tmp_path):
    write_flac(tmp_path / "stem.flac", 0.1 * noise(), RATE_HZ)
    excerpt = Excerpt(tmp_path / "stem.flac", 0.01, 0.05)
    track = sources("Oboe", excerpt=excerpt)
    mixture = noise(excerpt.span(RATE_HZ)[1] - excerpt.span(RATE_HZ)[0])
    stems = build_separator({"name": "oracle"}, RATE_HZ).separate(mixture, track)
    np.testing.assert_array_equal(stems["source_1"], read_excerpt(excerpt, RATE_HZ))
    assert build_separator({"name": "passthrough"}, RATE_HZ).separate(mixture, track) == {}


# The hub, without a network.


@pytest.fixture
def offline(tmp_path, monkeypatch):
    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return cache


@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_published_networks_come_from_the_hubs_cache(offline, tmp_path, revision):
    fill_hub_cache(offline, ["Viola"])
    write_networks(tmp_path, ["Viola"])
    track, mixture = sources("Viola"), noise()
    cached = convtasnet("official", revision=revision)
    np.testing.assert_array_equal(
        cached.separate(mixture, track)["source_1"],
        convtasnet(tmp_path).separate(mixture, track)["source_1"],
    )
    (path,) = cached.weights
    assert COMMIT in path


@pytest.mark.parametrize("settings", [{}, {"revision": COMMIT}, {"force_redownload": True}])
def test_not_cached_and_offline_is_a_line_for_each_network(offline, settings):
    if settings:
        fill_hub_cache(offline, ["Flute"])
    separator = convtasnet("official", **settings)
    with pytest.raises(InputError) as caught:
        separator.prepare(sources("Oboe", "Cello").values())
    for line, instrument in zip(caught.value.problems, ("Oboe", "Cello"), strict=True):
        assert f"cadenzachallenge/ConvTasNet_{instrument}_NonCausal is not in the hub's" in line
        assert len(line.splitlines()) == 1
