"""Templates learned from instruments alone, and what separators of the NMF family do with them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cmss.errors import InputError
from cmss.nmf.dictionaries import (
    Dictionaries,
    load_dictionaries,
    save_dictionaries,
)
from cmss.nmf.factors import initial_activations, product, update_activations
from cmss.nmf.spectrogram import Analysis
from cmss.scenes import INSTRUMENTS
from cmss.separators import build_separator
from tests.support.learned_templates import play, sdr_db
from tests.support.separation import RATE_HZ, noise, sources

NAMES = ("nmf", "plca", "nmf_convolutive", "nmf_smooth")
EVERY = pytest.mark.parametrize("name", NAMES)


def separator(learned: dict[str, Path], name: str, **settings):
    kind = {"nmf_convolutive": "convolutive", "nmf_smooth": "is"}.get(name, "kl")
    return build_separator({"name": name, "weights_from": str(learned[kind]), **settings}, RATE_HZ)


@EVERY
def test_instruments_are_told_apart(learned, name):
    """An oboe on the left, two cellos on the right, playing what was not learned from.

    The mixture itself is about 0 dB from each; 10 dB is well met (12 to 20).
    """
    oboe = np.outer([1, 0.3], play("Oboe", 2.0, seed=2)).astype(np.float32)
    cellos = np.outer([0.2, 1], play("Cello", 2.0, seed=3)).astype(np.float32)
    mixture = oboe + cellos
    track = sources("Cello_1", "Oboe", "Cello_2")
    stems = separator(learned, name).separate(mixture, track)
    assert list(stems) == ["source_1", "source_2", "source_3"]
    np.testing.assert_array_equal(stems["source_1"], stems["source_3"])
    assert sdr_db(oboe, stems["source_2"]) > 10
    assert sdr_db(cellos, stems["source_1"] + stems["source_3"]) > 10
    # The image: levels of the two channels, to 1 dB.
    for stem, image_db in ((stems["source_2"], 10.46), (stems["source_1"], -13.98)):
        left, right = np.sum(stem.astype(float) ** 2, -1)
        assert abs(10 * np.log10(left / right) - image_db) < 1


@EVERY
@pytest.mark.parametrize("samples", [1, 700, 30001])
def test_stems_sum_to_the_mixture_at_any_length(learned, name, samples):
    mixture = noise(samples)
    stems = separator(learned, name, iterations=3).separate(mixture, sources("Oboe", "Cello"))
    # Float32 spectra of a signal that reaches 4.
    np.testing.assert_allclose(sum(stems.values()), mixture, rtol=0, atol=1e-5)


@EVERY
def test_levels_do_not_matter(learned, name):
    mixture = np.outer([1, 1], play("Oboe", 0.6, seed=4) + play("Cello", 0.6, seed=5))
    mixture, track = mixture.astype(np.float32), sources("Oboe", "Cello")
    chosen = separator(learned, name)
    loud = chosen.separate(mixture, track)
    quiet = chosen.separate(np.float32(2**-12) * mixture, track)
    for key, stem in loud.items():
        # Rounding of float32 over sixty steps.
        np.testing.assert_allclose(2**12 * quiet[key], stem, rtol=0, atol=1e-4)


def test_plca_and_nmf_separate_alike(learned):
    mixture = np.outer([1, 0.5], play("Oboe", 0.6, seed=4) + play("Cello", 0.6, seed=5))
    mixture, track = mixture.astype(np.float32), sources("Oboe", "Cello")
    plca = separator(learned, "plca").separate(mixture, track)
    for key, stem in separator(learned, "nmf").separate(mixture, track).items():
        # Equal steps but for the first, which only scales; float32.
        np.testing.assert_allclose(plca[key], stem, rtol=0, atol=2e-3 * np.abs(mixture).max())


def test_smoothness_0_is_nmf_with_itakura_saito(learned):
    mixture, track = noise(20000), sources("Oboe", "Cello")
    smooth = separator(learned, "nmf_smooth", smoothness=0.0).separate(mixture, track)
    plain = build_separator(
        {"name": "nmf", "divergence": "is", "weights_from": str(learned["is"])}, RATE_HZ
    ).separate(mixture, track)
    for key, stem in plain.items():
        # Float32, in another order of operations, over sixty steps.
        np.testing.assert_allclose(smooth[key], stem, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("divergence", "lags"), [("kl", 1), ("is", 1), ("kl", 4)])
def test_templates_model_what_they_were_not_learned_from(learned, divergence, lags):
    """Of an oboe's spectrogram its own templates leave less than a tenth of what a cello's do."""
    kind = "convolutive" if lags > 1 else divergence
    dictionaries = load_dictionaries(learned[kind])
    analysis = dictionaries.analysis
    V = analysis.spectrogram(analysis.spectra(torch.from_numpy(play("Oboe", 1.0, seed=6))))
    V = analysis.scaled(V)
    left = {}
    for instrument, W in dictionaries.templates.items():
        assert W.shape == (lags, V.shape[0], 6)
        torch.testing.assert_close(W.sum((0, 1)), torch.ones(6))
        H = initial_activations(V, W)
        for _ in range(60):
            H = update_activations(V, W, H, divergence)
        left[instrument] = (V - product(W, H)).square().sum()
    assert left["Oboe"] < 0.1 * left["Cello"]


def test_masks_of_one_give_the_signal_back():
    analysis = Analysis()
    signal = torch.from_numpy(noise(12345))
    spectra = analysis.spectra(signal)
    masks = torch.ones(1, *analysis.spectrogram(spectra).shape)
    (back,) = analysis.masked(spectra, masks, 12345)
    # Float32, values up to 4.
    torch.testing.assert_close(back, signal, rtol=0, atol=1e-5)


def test_bands_lose_no_energy():
    analysis = Analysis("is")
    spectra = analysis.spectra(torch.from_numpy(noise(5000)).double())
    torch.testing.assert_close(
        analysis.spectrogram(spectra).sum(-2), spectra.abs().square().sum(-2)
    )


def test_band_centres_rise_and_tones_lie_in_theirs():
    analysis = Analysis()
    centres_hz = analysis.band_centres_hz()
    assert (centres_hz.diff() > 0).all()
    for hz in (100.0, 1000.0, 7000.0):
        tone = torch.sin(2 * torch.pi * hz * torch.arange(20000) / analysis.sample_rate_hz)
        V = analysis.spectrogram(analysis.spectra(tone)).sum(-1)
        found = centres_hz[V.argmax()]
        # Bands lie 1/60 of their frequency apart, or bins of 10.8 Hz.
        assert abs(found - hz) < max(hz / 60, 10.8)


def test_frames_lie_where_their_times_say():
    analysis = Analysis()
    click = torch.zeros(30000)
    click[20000] = 1
    V = analysis.spectrogram(analysis.spectra(click)).sum(0)
    times_s = analysis.frame_times_s(len(V))
    # Half a hop.
    assert abs(times_s[V.argmax()] - 20000 / 44100) <= 512 / 44100


def test_templates_survive_their_file(tmp_path):
    W = torch.rand(2, 30, 3).square() * torch.tensor([1e-4, 1, 1e4])
    path, again = tmp_path / "w.safetensors", tmp_path / "again.safetensors"
    for file in (path, again):
        save_dictionaries(file, Dictionaries(Analysis("is", hop=512), {"Oboe": W}), {"a": "b"})
    assert path.read_bytes() == again.read_bytes()
    loaded = load_dictionaries(path)
    assert loaded.analysis == Analysis("is", hop=512)
    # Float16 has eleven digits in base 2.
    torch.testing.assert_close(
        loaded.templates["Oboe"], W / W.sum((0, 1)), rtol=2**-11, atol=2**-20
    )


def test_what_cannot_be_used_is_refused(learned, tmp_path):
    with pytest.raises(InputError, match=r"is\.safetensors: .* divergence is, but .*nmf expects"):
        build_separator({"name": "nmf", "weights_from": str(learned["is"])}, RATE_HZ)
    with pytest.raises(InputError, match="templates of 4 frames require separator=nmf_conv"):
        build_separator({"name": "plca", "weights_from": str(learned["convolutive"])}, RATE_HZ)
    with pytest.raises(InputError, match="no templates of Flute, Sax, only of Cello, Oboe"):
        separator(learned, "nmf").prepare(sources("Sax", "Oboe", "Flute").values())
    with pytest.raises(InputError, match=r"none\.safetensors: no such file"):
        build_separator(
            {"name": "nmf", "weights_from": str(tmp_path / "none.safetensors")}, RATE_HZ
        )
    (tmp_path / "cut.safetensors").write_bytes(learned["kl"].read_bytes()[:-9])
    with pytest.raises(InputError, match="not a readable safetensors file"):
        load_dictionaries(tmp_path / "cut.safetensors")
    with pytest.raises(InputError, match=r"separator\.iterations: .*got 0"):
        separator(learned, "nmf", iterations=0)


@pytest.mark.parametrize(("name", "settings"), [*((name, {}) for name in NAMES),
                                                ("nmf", {"divergence": "is"})])  # fmt: skip
def test_the_package_has_templates_of_all_instruments(name, settings):
    chosen = build_separator({"name": name, **settings}, RATE_HZ)
    chosen.prepare(sources(*INSTRUMENTS).values())
    (path,) = chosen.weights
    assert Path(path).stat().st_size < 500_000


def test_files_of_something_else_are_refused():
    package = Path(__file__).parents[1] / "cmss" / "weights" / "convtasnet_small.safetensors"
    with pytest.raises(InputError, match="no key nmf_dictionaries in its header"):
        load_dictionaries(package)
