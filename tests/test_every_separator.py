"""What holds for every separator, on a scene with a doubled instrument."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from cmss.audio import Excerpt, write_flac
from cmss.models.checkpoint import build, save_checkpoint
from cmss.models.outputs import OUTPUTS
from cmss.models.postfilter_network import MODEL, Postfilter, PostfilterArguments
from cmss.nmf.dictionaries import Dictionaries, save_dictionaries
from cmss.nmf.spectrogram import Analysis
from cmss.scenes import Source
from cmss.separators import SEPARATORS, build_separator
from cmss.separators.steps import STEPS
from tests.support.separation import RATE_HZ, noise, sources
from tests.support.small_networks import NETWORKS

SAMPLES = RATE_HZ // 2 + 3
TRACK = ("Violin_1", "Cello", "Violin_2")

TEMPLATES = {"nmf": ("kl", 1), "plca": ("kl", 1), "nmf_smooth": ("is", 1),
             "nmf_convolutive": ("kl", 3), "casa": ("kl", 1)}  # fmt: skip

MASKS = sorted(TEMPLATES)
"""Those that let through of each channel what is in it, and all of it to one source or another."""

MASKING = pytest.mark.parametrize("name", MASKS)
POSTFILTER = "postfilter.safetensors"
SHORT = {"directions": {"iterations": 2}, "partials": {"window": 8192}}
PAIRS = [(name, step) for name in sorted(SEPARATORS) for step in (None, *STEPS)]


def each(pairs: list[tuple[str, str | None]]) -> pytest.MarkDecorator:
    """For separators, each alone and with each of the steps."""
    return pytest.mark.parametrize(("name", "step"), pairs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Weights of random networks and templates, and a stem for the oracle."""
    folder = tmp_path_factory.mktemp("separators")
    torch.manual_seed(0)
    for name, (model, arguments) in NETWORKS.items():
        network = build(model, {"sources": OUTPUTS, **arguments})
        save_checkpoint(folder / f"{name}.safetensors", model, network)
    for name, (divergence, lags) in TEMPLATES.items():
        analysis = Analysis(divergence)
        bands = analysis.spectrogram(analysis.spectra(torch.zeros(1))).shape[-2]
        templates = {key: torch.rand(lags, bands, 4) ** 3 for key in ("Violin", "Cello")}
        save_dictionaries(folder / f"{name}.safetensors", Dictionaries(analysis, templates), {})
    postfilter = Postfilter(PostfilterArguments(bins=80, channels=4, dilations=((1, 1), (2, 3))))
    torch.nn.init.normal_(postfilter.last.weight, std=10.0)
    save_checkpoint(folder / POSTFILTER, MODEL, postfilter)
    write_flac(folder / "stem.flac", 0.1 * noise(SAMPLES), RATE_HZ)
    return folder


def separator(folder: Path, name: str, step: str | None = None):
    weights = folder / f"{name}.safetensors"
    key = "checkpoint" if name == "module" else "weights_from"
    settings = {key: str(weights)} if weights.is_file() else {}
    steps = [{"name": step, **SHORT.get(step, {})}] if step else []
    if step == "postfilter":
        steps[0]["weights_from"] = str(folder / POSTFILTER)
    return build_separator({"name": name, **settings, "steps": steps}, RATE_HZ)


def track(folder: Path) -> dict[str, Source]:
    return sources(*TRACK, excerpt=Excerpt(folder / "stem.flac", 0.0, SAMPLES / RATE_HZ))


MIXTURE = 0.1 * noise(SAMPLES)


@cache
def separated(folder: Path, name: str, step: str | None = None) -> dict[str, np.ndarray]:
    """Separate the mixture once for several tests."""
    mixture = MIXTURE.copy()
    chosen, players = separator(folder, name, step), track(folder)
    chosen.prepare(players.values())
    stems = chosen.separate(mixture, players)
    np.testing.assert_array_equal(mixture, MIXTURE, "the separator has changed its input")
    return stems


@each(PAIRS)
def test_a_finite_stem_for_each_player_or_none_at_all(folder, name, step):
    stems = separated(folder, name, step)
    assert list(stems) == ([] if name == "passthrough" else list(track(folder)))
    for stem in stems.values():
        assert stem.shape == MIXTURE.shape
        assert stem.dtype == np.float32
        assert np.isfinite(stem).all()


# The oracle alone does not listen to the mixture.
@each([pair for pair in PAIRS if pair != ("oracle", None)])
def test_silence_in_silence_out(folder, name, step):
    silence = np.zeros((2, SAMPLES), np.float32)
    for stem in separator(folder, name, step).separate(silence, track(folder)).values():
        np.testing.assert_array_equal(stem, silence)


@each([(name, step) for name, step in PAIRS if name != "passthrough" and (step or name in MASKS)])
def test_what_promises_it_sums_to_the_mixture(folder, name, step):
    stems = separated(folder, name, step)
    # Float32 stems of a mixture that reaches 0.4.
    np.testing.assert_allclose(sum(stems.values()), MIXTURE, rtol=0, atol=1e-6)


@MASKING
def test_what_is_on_one_side_stays_there(folder, name):
    mixture = 0.1 * noise(SAMPLES)
    mixture[1] = 0
    for stem in separator(folder, name).separate(mixture, track(folder)).values():
        assert np.abs(stem[0]).max() > 0
        np.testing.assert_array_equal(stem[1], 0)


@MASKING
def test_an_impulse_stays_at_its_sample(folder, name):
    mixture = np.zeros((2, SAMPLES), np.float32)
    mixture[0, 12345] = mixture[1, 9876] = 0.5
    for stem in separator(folder, name).separate(mixture, track(folder)).values():
        assert list(np.abs(stem).argmax(-1)) == [12345, 9876]


@MASKING
def test_two_players_of_an_instrument_share_what_is_theirs(folder, name):
    stems = separated(folder, name)
    np.testing.assert_array_equal(stems["source_1"], stems["source_3"])
