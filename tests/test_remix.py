from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recipes.cad2.task2.baseline.evaluate import adjust_level, apply_gains, remix_stems

from benchmarks.official import official_enhance
from cmss.errors import InputError
from cmss.remix import (
    ConsistentRemix,
    OfficialRemix,
    averaged_gains,
    factor,
    level_factor,
    rebalance,
    reference_remix,
)
from cmss.scenes import Excerpt, Scene, Source, Track

SAMPLES = 44100
ENSEMBLES = {
    "no player doubled": ["Flute", "Viola", "Cello"],
    "one instrument doubled": ["Violin_1", "Violin_2", "Cello"],
    "two instruments doubled": ["Violin_1", "Sax_1", "Violin_2", "Oboe", "Sax_2"],
}
GAINS_DB = [-10, 6, 3, 0, -6]
EACH = pytest.mark.parametrize("labels", ENSEMBLES.values(), ids=ENSEMBLES.keys())


def make_scene(labels: list[str]) -> Scene:
    excerpt = Excerpt(Path("none.flac"), 0.0, 1.0)
    sources = {}
    for number, label in enumerate(labels, 1):
        instrument, _, voice = label.partition("_")
        key = f"source_{number}"
        sources[key] = Source(key, instrument, int(voice) if voice else None, excerpt)
    gains_db = dict(zip(sources, map(float, GAINS_DB), strict=False))
    return Scene("S50001", Track("music", sources, excerpt), gains_db)


def make_stems(scene: Scene) -> dict[str, np.ndarray]:
    """Stems as read from 16-bit files."""
    rng = np.random.default_rng(2)
    return {
        key: (np.rint(500 * rng.standard_normal((2, SAMPLES))) / 32768).astype(np.float32)
        for key in scene.track.sources
    }


def mixture_of(stems: dict[str, np.ndarray]) -> np.ndarray:
    """Their sum, rounded to 16 bits like all mixtures of the challenge."""
    return (np.rint(32768 * sum(stems.values())) / 32768).astype(np.float32)


def official(stems: dict[str, np.ndarray], gains_db: dict, level_gains_db: dict) -> np.ndarray:
    """Apply gains, sum, adjust the level by the official functions; (2, samples)."""
    files = {key: stem.T for key, stem in stems.items()}  # there, samples come first
    return adjust_level(remix_stems(apply_gains(files, 44100, gains_db)), level_gains_db).T


@EACH
def test_the_reference_equals_the_official_one(labels):
    scene = make_scene(labels)
    stems = make_stems(scene)
    expected = official(stems, scene.gains_db, scene.gains_db)
    # The official gain is computed from loudness in LUFS, with a few roundings in float32.
    np.testing.assert_allclose(
        reference_remix(stems, scene.gains_db), expected, rtol=0, atol=1e-6 * np.abs(expected).max()
    )


@EACH
def test_true_stems_remixed_consistently_are_the_reference(labels):
    """Equal up to the rounding of the mixture's file, half a step before the level factor."""
    scene = make_scene(labels)
    stems = make_stems(scene)
    remix = rebalance(mixture_of(stems), stems, scene, ConsistentRemix())
    tolerance = 0.5 / 32768 * level_factor(scene.gains_db) + 1e-7
    assert np.abs(remix - reference_remix(stems, scene.gains_db)).max() <= tolerance


@EACH
def test_the_official_remix_equals_the_official_functions(labels):
    scene = make_scene(labels)
    stems = make_stems(scene)
    gains_db = scene.gains_db
    instruments = {key: source.instrument for key, source in scene.track.sources.items()}
    if len(set(instruments.values())) < len(
        instruments
    ):  # otherwise the official mean has no elements
        gains_db = official_enhance().check_repeated_source(gains_db, instruments)
    assert averaged_gains(scene.gains_db, scene.track.sources) == pytest.approx(gains_db)
    expected = official(stems, gains_db, scene.gains_db)
    np.testing.assert_allclose(
        rebalance(mixture_of(stems), stems, scene, OfficialRemix()),
        expected,
        rtol=0,
        atol=1e-6 * np.abs(expected).max(),
    )


def test_without_a_doubled_player_the_official_remix_of_true_stems_is_the_reference():
    scene = make_scene(ENSEMBLES["no player doubled"])
    stems = make_stems(scene)
    np.testing.assert_array_equal(
        OfficialRemix()(mixture_of(stems), stems, scene), reference_remix(stems, scene.gains_db)
    )


def test_gains_of_two_doubled_instruments_share_one_mean():
    scene = make_scene(ENSEMBLES["two instruments doubled"])
    averaged = averaged_gains(scene.gains_db, scene.track.sources)
    mean = np.mean([-10, 6, 3, -6])
    assert averaged == {f"source_{number}": mean for number in (1, 2, 3, 5)} | {"source_4": 0.0}


@pytest.mark.parametrize("remix", [ConsistentRemix(), OfficialRemix()])
def test_without_stems_the_mixture_is_handed_on(remix):
    scene = make_scene(["Flute", "Cello"])
    mixture = mixture_of(make_stems(scene))
    handed_on = rebalance(mixture, {}, scene, remix)
    np.testing.assert_array_equal(handed_on, mixture)
    assert handed_on.dtype == np.float64
    assert handed_on is not mixture


@pytest.mark.parametrize("remix", [ConsistentRemix(), OfficialRemix()])
def test_the_callers_arrays_stay_as_they_are(remix):
    scene = make_scene(["Flute", "Cello"])
    stems = make_stems(scene)
    mixture = mixture_of(stems)
    copies = {key: stem.copy() for key, stem in stems.items()}, mixture.copy()
    rebalance(mixture, stems, scene, remix)
    for key, stem in stems.items():
        np.testing.assert_array_equal(stem, copies[0][key])
    np.testing.assert_array_equal(mixture, copies[1])


def test_a_source_that_nobody_asked_to_change_carries_no_artefact():
    """The estimate of a source with a gain of 0 dB has no effect."""
    scene = make_scene(["Flute", "Viola", "Cello", "Oboe"])
    stems = make_stems(scene)
    mixture = mixture_of(stems)
    assert scene.gains_db["source_4"] == 0
    spoilt = {**stems, "source_4": 10 * stems["source_1"]}
    remix = ConsistentRemix()
    np.testing.assert_array_equal(remix(mixture, spoilt, scene), remix(mixture, stems, scene))


def test_trust_moves_from_the_mixture_to_the_whole_change():
    scene = make_scene(["Flute", "Viola", "Cello"])
    stems = make_stems(scene)
    mixture = mixture_of(stems)
    none, half, whole = (ConsistentRemix(trust)(mixture, stems, scene) for trust in (0, 0.5, 1))
    level = level_factor(scene.gains_db)
    np.testing.assert_allclose(none, level * mixture.astype(np.float64), rtol=1e-12)
    np.testing.assert_allclose(half, (none + whole) / 2, rtol=0, atol=1e-12)


@pytest.mark.parametrize("trust", [-0.1, 1.1, float("nan")])
def test_trust_beyond_none_and_all_is_refused(trust):
    with pytest.raises(InputError, match=r"remix\.trust: .*expected 0 to 1"):
        ConsistentRemix(trust)


def test_six_decibels_are_a_factor_of_two():
    assert factor(20 * np.log10(2)) == pytest.approx(2, rel=1e-12)
    assert factor(0) == 1


@given(st.lists(st.sampled_from([-10, -6, -3, 0, 3, 6, 10]), min_size=1, max_size=5))
def test_players_of_equal_power_are_as_loud_together_as_before(gains_db):
    gains = {str(number): gain for number, gain in enumerate(gains_db)}
    powers = [(level_factor(gains) * factor(gain)) ** 2 for gain in gains_db]
    assert sum(powers) == pytest.approx(len(gains_db), rel=1e-12)


@given(st.sampled_from([-10, -6, -3, 0, 3, 6, 10]), st.integers(1, 5))
def test_one_gain_for_all_changes_nothing(gain_db, players):
    gains = {str(number): gain_db for number in range(players)}
    assert level_factor(gains) * factor(gain_db) == pytest.approx(1, rel=1e-12)
