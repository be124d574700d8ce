"""Causal systems: a change of the input affects the output at most 5 ms earlier."""

from pathlib import Path

import numpy as np
import pytest

from cmss.audio import read_sound, resample, write_flac
from cmss.errors import InputError
from cmss.hearing.hearing_aid import HearingAid
from cmss.pipeline import System, enhance_scene
from cmss.remix import ConsistentRemix, OfficialRemix
from cmss.scenes import load_pairs
from cmss.separators import build_separator
from cmss.separators.steps import STEPS
from tests.support.causal_networks import write_network
from tests.support.tiny_challenge import RATE_HZ, TinyChallenge

REMIX_RATE_HZ = 32000
AID = HearingAid([353.55, 707.11, 1414.21, 2828.43, 5656.85], 11, 80, -30, RATE_HZ)
SECONDS = 1.5
AT_S = 0.9


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Violin, violin and viola, each with another gain, for a listener with a loss."""
    pairs = load_pairs(TinyChallenge(tmp_path_factory.mktemp("tiny")).paths())
    return next(
        pair
        for pair in pairs
        if pair.scene.track.name == "trio" and any(pair.listener.left.compression.gains_db)
    )


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("weights")
    for instrument in ("Violin", "Viola", "Cello", "Oboe"):
        write_network(folder, instrument)
    return str(folder)


def separator(weights, name="convtasnet", **settings):
    """With short segments, so that there are several before and after the change."""
    network = {
        "name": "convtasnet", "weights_from": weights, "device": "cpu",
        "separation": {"segment": 0.2},
    }  # fmt: skip
    if name == "ensemble":
        members = [
            {**network, "weight": 0.6},
            {"name": "passthrough", "weight": 1},
            {**network, "separation": {"segment": 0.33}, "weight": {"Violin": 0.7, "Viola": 0.3}},
        ]
        return build_separator(
            {"name": "ensemble", "causality": "causal", "members": members}, RATE_HZ
        )
    return build_separator({**network, "causality": "causal", **settings}, RATE_HZ)


def enhanced(system: System, pair, mixture: np.ndarray, path: Path) -> np.ndarray:
    """Process a mixture to the samples of the submitted file."""
    stems = system.separator.separate(mixture, pair.scene.track.sources)
    ears = enhance_scene(system, mixture, stems, pair.scene, pair.listener)
    write_flac(path, resample(ears, RATE_HZ, REMIX_RATE_HZ), REMIX_RATE_HZ)
    return np.rint(read_sound(path)[0] * 32768)


def futures() -> dict[str, np.ndarray]:
    """Mixtures with the same past, continued by music, by a loud crash, by silence, or ended."""
    rng = np.random.default_rng(0)
    samples, at = round(SECONDS * RATE_HZ), round(AT_S * RATE_HZ)
    music = (0.0077 * rng.standard_normal((2, samples))).astype(np.float32)
    crash, silence = music.copy(), music.copy()
    crash[:, at:] = rng.choice((-0.9, 0.9), (2, samples - at))
    silence[:, at:] = 0
    return {"music": music, "crash": crash, "silence": silence, "end": music[:, : at + 100]}


@pytest.mark.parametrize("remix", [ConsistentRemix(), OfficialRemix()], ids=["ours", "official"])
@pytest.mark.parametrize("name", ["convtasnet", "ensemble"])
def test_what_comes_changes_nothing_that_was(pair, weights, tmp_path, name, remix):
    system = System(separator(weights, name), remix, AID)
    results = {
        future: enhanced(system, pair, mixture, tmp_path / f"{future}.flac")
        for future, mixture in futures().items()
    }
    before = int((AT_S - 0.005) * REMIX_RATE_HZ)
    expected = results.pop("music")
    assert np.abs(expected[:, :before]).max() > 100  # steps of 16 bits
    for future, result in results.items():
        moved = np.abs(result[:, :before] - expected[:, :before])
        assert moved.max() <= 1, future
    assert np.abs(results["crash"] - expected)[:, before:].max() > 100


def test_the_official_way_of_cutting_looks_no_further(pair, weights, tmp_path):
    official = {"official": True, "segment": 0.2, "overlap": 0.1}
    system = System(separator(weights, separation=official), ConsistentRemix(), AID)
    mixtures = futures()
    one, other = (
        enhanced(system, pair, mixtures[future], tmp_path / f"{future}.flac")
        for future in ("music", "crash")
    )
    before = int((AT_S - 0.005) * REMIX_RATE_HZ)
    assert np.abs(one - other)[:, :before].max() <= 1


def test_pieces_make_no_difference(pair, weights):
    music = futures()["music"]
    sources = pair.scene.track.sources
    pieces = separator(weights).separate(music, sources)
    whole = separator(weights, separation={"segment": 60.0}).separate(music, sources)
    for key, stem in whole.items():
        np.testing.assert_allclose(pieces[key], stem, rtol=0, atol=1e-5 * np.abs(stem).max())


def test_looking_ahead_is_noticed(pair, tmp_path):
    """Check of the test: it fails for a network with look-ahead."""
    for instrument in ("Violin", "Viola"):
        write_network(tmp_path, instrument, causal=False, X=6)
    wide = separator(str(tmp_path), causality="noncausal")
    system = System(wide, ConsistentRemix(), AID)
    one, other = (
        enhanced(system, pair, mixture, tmp_path / "out.flac")
        for future, mixture in futures().items()
        if future in ("music", "crash")
    )
    before = int((AT_S - 0.005) * REMIX_RATE_HZ)
    assert np.abs(one - other)[:, :before].max() > 1


def test_how_far_each_link_looks_ahead(pair):
    """The figures of docs/causality.md, at full scale: resampling alone looks ahead at all."""
    at = round(AT_S * RATE_HZ)
    quiet = np.zeros((2, 2 * at))
    step = quiet.copy()
    step[:, at:] = 1
    aided = AID(step, pair.listener) - AID(quiet, pair.listener)
    assert np.abs(aided[:, :at]).max() == 0
    resampled = resample(step, RATE_HZ, REMIX_RATE_HZ)[0]
    first = np.flatnonzero(np.abs(resampled) > 1 / 32768)[0] / REMIX_RATE_HZ
    assert 1e3 * (AT_S - first) == pytest.approx(2.1, abs=0.1)
    # However far beyond full scale, before it is clipped, until 32-bit floats round.
    first = np.flatnonzero(np.abs(resampled) > 10 ** (-130 / 20))[0] / REMIX_RATE_HZ
    assert 1e3 * (AT_S - first) == pytest.approx(2.9, abs=0.1)


# Systems with a longer look-ahead are refused.


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            {"causal": False, "norm_type": "gLN"},
            "is noncausal: estimates depend on the entire",
        ),
        ({"norm_type": "gLN"}, "is noncausal: estimates depend on the entire"),
        ({"causal": False, "X": 8}, r"looks \d+\.\d ms ahead, expected at most 2 ms"),
        ({"L": 256}, r"looks 5\.8 ms ahead, expected at most 2 ms"),
        ({"samplerate": 32000}, "works at 32000 Hz, and resampling looks ahead; expected"),
    ],
    ids=["published noncausal", "gLN", "both sides", "long filters", "other rate"],
)
def test_networks_that_look_ahead_are_refused(pair, tmp_path, arguments, reason):
    write_network(tmp_path, "Violin", **arguments)
    violin = pair.scene.track.sources["source_1"]
    path = tmp_path / "Violin" / "best.safetensors"
    with pytest.raises(InputError, match=f"^separator.causality: causal, but {path} {reason}"):
        separator(str(tmp_path)).prepare([violin])
    separator(str(tmp_path), causality="noncausal").prepare([violin])


@pytest.mark.parametrize("name", ["waveunet", "multichannel_unet", "arunet", "htdemucs"])
def test_other_separators_are_refused_before_their_weights_are_looked_for(name):
    said = f"separator: {name} looks ahead, expected one of ensemble, convtasnet, oracle, passthr"
    for settings in (
        {"name": name},
        {"name": "ensemble", "members": [{"name": name, "weight": 1}]},
    ):
        with pytest.raises(InputError, match=said):
            build_separator({**settings, "causality": "causal"}, RATE_HZ)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        *(
            ({"steps": [{"name": step}]}, r"separator\.steps\.0: this step looks ahead, expected")
            for step in STEPS
        ),
        (
            {"name": "ensemble", "edges_hz": [700.0], "members": []},
            r"ensemble\.edges_hz: splitting into bands looks ahead, expected \[\]",
        ),
        (
            {"name": "ensemble", "pool": "logarithmic", "members": []},
            r"ensemble\.pool: logarithmic looks ahead, expected linear",
        ),
        (
            {"name": "ensemble",
             "members": [{"name": "passthrough", "causality": "noncausal", "weight": 1}]},
            "ensemble.members: passthrough is noncausal, expected separator.causality=causal",
        ),
        (
            {"name": "ensemble",
             "members": [{"name": "oracle", "steps": [{"name": "wiener"}], "weight": 1}]},
            "separator.steps.0: this step looks ahead",
        ),
    ],
)  # fmt: skip
def test_what_looks_ahead_behind_networks_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        build_separator({"name": "oracle", "causality": "causal", **settings}, RATE_HZ)


@pytest.mark.parametrize("causality", ["causal", "noncausal"])
def test_both_ends_of_the_scale_may_be_named_either(causality):
    for name in ("oracle", "passthrough"):
        build_separator({"name": name, "causality": causality}, RATE_HZ)
