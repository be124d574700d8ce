import hashlib
import os
import shutil
import signal
import time
import tracemalloc
from collections import Counter
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from recipes.cad2.task2.baseline.evaluate import set_song_seed

from cmss.audio import read_excerpt, resample, write_flac
from cmss.errors import InputError
from cmss.hearing.hearing_aid import HearingAid
from cmss.pipeline import System, enhance_run
from cmss.remix import ConsistentRemix, OfficialRemix, reference_remix
from cmss.run.enhancing import EnhanceSettings
from cmss.run.scoring import FileScorer, Scorer, score_files, with_references
from cmss.scenes import SoundFiles, level_warning, level_warnings, load_pairs
from cmss.separators.bounds import Oracle, Passthrough
from cmss.separators.preparing import load_networks
from tests.support.enhanced import enhance, no_bar
from tests.support.killed import KilledAt
from tests.support.tiny_challenge import RATE_HZ, TinyChallenge

AID = HearingAid([353.55, 707.11, 1414.21, 2828.43, 5656.85], 11, 80, -30, RATE_HZ)


class Counting(Oracle):
    """The oracle, with a count of calls for each ensemble."""

    def __init__(self) -> None:
        super().__init__(RATE_HZ)
        self.separated: Counter[str] = Counter()

    def separate(self, mixture, sources):
        self.separated["+".join(source.instrument for source in sources.values())] += 1
        return super().separate(mixture, sources)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Two tracks, each in two scenes that are not adjacent, for two listeners."""
    tiny = TinyChallenge(tmp_path_factory.mktemp("tiny"))
    tiny.files["scenes_file"] |= {
        "S50003": {"music": "duet", "gain": "gain_0001"},
        "S50004": {"music": "trio", "gain": "gain_0002"},
    }
    listeners = ["L5999", "L5001"]
    tiny.files["scene_listeners_file"] = dict.fromkeys(tiny.files["scenes_file"], listeners)
    return load_pairs(tiny.paths())


def run(separator, remix, pairs) -> dict[str, np.ndarray]:
    return {pair.name: ears for pair, ears in enhance(System(separator, remix, AID), pairs)}


def test_a_track_is_separated_once_for_all_scenes_and_listeners(pairs):
    separator = Counting()
    enhanced = run(separator, ConsistentRemix(), pairs)
    assert separator.separated == {"Cello+Oboe": 1, "Violin+Violin+Viola": 1}
    assert sorted(enhanced) == sorted(pair.name for pair in pairs)


def test_a_pair_comes_out_the_same_whatever_is_run_beside_it(pairs):
    enhanced = run(Counting(), ConsistentRemix(), pairs)
    for pair in pairs[1::3]:
        (alone,) = run(Counting(), ConsistentRemix(), [pair]).values()
        np.testing.assert_array_equal(alone, enhanced[pair.name])


def test_memory_is_flat_in_the_number_of_scenes(pairs, tmp_path):
    """One track and one pair are in memory: 0.3 s of two ears in float64 take 0.2 MB."""
    settings = EnhanceSettings(32000, False, False, "error", False, {}, {})

    def peak_bytes(times: int) -> int:
        many = [
            replace(pair, scene=replace(pair.scene, id=f"S5{times}{n:03d}"))
            for n, pair in enumerate(pairs * times)
        ]
        folder, sounds = Path(mkdtemp(dir=tmp_path)), SoundFiles(RATE_HZ)
        tracemalloc.start()
        system = System(Counting(), ConsistentRemix(), AID)
        done = enhance_run(folder, many, system, sounds, settings, int, no_bar, print)
        assert done.pairs == len(many)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(1)  # Created once: filters, compiled loops.
    few, many = peak_bytes(1), peak_bytes(8)
    assert few > 2e5
    assert many < few + 2e5


@pytest.mark.parametrize("remix", [ConsistentRemix(), OfficialRemix()])
def test_passthrough_amplifies_the_mixture_as_it_is(pairs, remix):
    enhanced = run(Passthrough(RATE_HZ), remix, pairs)
    for pair in pairs:
        mixture = read_excerpt(pair.scene.track.mixture, RATE_HZ)
        np.testing.assert_array_equal(enhanced[pair.name], AID(mixture, pair.listener))


def test_true_stems_give_what_scores_compare_with(pairs):
    enhanced = run(Oracle(RATE_HZ), OfficialRemix(), pairs)
    scorer = Scorer(AID)
    duets = [pair for pair in pairs if pair.scene.track.name == "duet"]  # No doubled instruments.
    for pair in duets:
        np.testing.assert_array_equal(
            enhanced[pair.name], AID(scorer.reference(pair.scene), pair.listener)
        )


def test_ears_are_not_exchanged(pairs):
    """Each ear of a listener has its own compressor, and the channels of the music differ."""
    pair = pairs[1]
    (ears,) = run(Passthrough(RATE_HZ), ConsistentRemix(), [pair]).values()
    mixture = read_excerpt(pair.scene.track.mixture, RATE_HZ)
    for side, ear in enumerate((pair.listener.left, pair.listener.right)):
        np.testing.assert_array_equal(ears[side], AID.amplify_ear(mixture[side], ear.compression))


def test_an_estimate_that_is_not_finite_names_track_and_source(pairs):
    class Broken(Oracle):
        def separate(self, mixture, sources):
            stems = super().separate(mixture, sources)
            stems["source_2"][0, 7] = np.nan
            return stems

    with pytest.raises(FloatingPointError, match="duet: the estimate of source_2 is not finite"):
        run(Broken(RATE_HZ), ConsistentRemix(), pairs)


@pytest.mark.parametrize(
    ("level_db", "warns"), [(-40, False), (-38, False), (-43.5, True), (-20, True)]
)
def test_a_mixture_far_from_the_level_of_the_compressor_is_named(pairs, level_db, warns):
    track = pairs[0].scene.track
    seconds = np.arange(RATE_HZ) / RATE_HZ
    # ITU-R BS.1770: a tone of 997 Hz at 0 dBFS has -3.01 LUFS in one channel, 0 in both.
    tone = 10 ** (level_db / 20) * np.sin(2 * np.pi * 997 * seconds)
    warning = level_warning(track, np.stack((tone, tone)), RATE_HZ)
    if warns:
        assert warning == (
            f"{track.name}: the mixture has {level_db:.1f} LUFS, the compressor expects -40"
        )
    else:
        assert warning is None


def test_silence_is_named_and_what_is_too_short_to_have_a_loudness_is_not(pairs):
    track = pairs[0].scene.track
    assert "-inf LUFS" in level_warning(track, np.zeros((2, RATE_HZ)), RATE_HZ)
    assert level_warning(track, np.zeros((2, RATE_HZ // 3)), RATE_HZ) is None


def test_all_mixtures_that_cannot_be_decoded_are_named(pairs, tmp_path):
    tracks = [pairs[0].scene.track, pairs[4].scene.track]
    broken = []
    for number, track in enumerate(tracks):
        path = tmp_path / f"{number}.flac"
        data = bytearray(track.mixture.path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 9000] = bytes(9000)
        path.write_bytes(data)
        broken.append(replace(track, mixture=replace(track.mixture, path=path)))
    with pytest.raises(InputError) as caught:
        list(level_warnings([broken[0], tracks[0], broken[1]], SoundFiles(RATE_HZ)))
    assert [line.split(": ")[0] for line in caught.value.problems] == [
        str(tmp_path / "0.flac"),
        str(tmp_path / "1.flac"),
    ]


# Networks.


class PerInstrument:
    """Loads weights when first used, as separators with one network per instrument do."""

    def __init__(self, common: dict[str, str], lacking: tuple[str, ...] = ()) -> None:
        self.weights = dict(common)
        self.lacking = lacking

    def prepare(self, sources):
        for source in sources:
            if source.instrument in self.lacking:
                raise InputError(f"{source.instrument}: no weights")
            self.weights[f"{source.instrument}.safetensors"] = f"digest of {source.instrument}"


def test_weights_are_attributed_to_the_instruments_that_they_serve(pairs):
    assert load_networks(PerInstrument({"all.safetensors": "common"}), pairs) == {
        name: ["common", f"digest of {name}"] for name in ("Cello", "Oboe", "Violin", "Viola")
    }


def test_a_part_of_the_pairs_has_the_weights_that_it_has_among_all(pairs):
    whole = load_networks(PerInstrument({}), pairs)
    for part in (pairs[:2], pairs[4:]):
        for name, digests in load_networks(PerInstrument({}), part).items():
            assert whole[name] == digests


def test_all_missing_weights_are_named_once(pairs):
    with pytest.raises(InputError) as caught:
        load_networks(PerInstrument({}, lacking=("Violin", "Oboe")), pairs)
    assert sorted(caught.value.problems) == ["Oboe: no weights", "Violin: no weights"]


# evaluate.py


def test_the_reference_is_cut_as_the_mixture_is(pairs):
    for pair in pairs:
        start, stop = pair.scene.track.mixture.span(RATE_HZ)
        reference = Scorer(AID).reference(pair.scene)
        assert reference.shape == (2, stop - start)
        stems = {
            key: read_excerpt(source.excerpt, RATE_HZ)
            for key, source in pair.scene.track.sources.items()
        }
        np.testing.assert_array_equal(reference, reference_remix(stems, pair.scene.gains_db))


def test_seeds_are_the_official_ones():
    for scene in ("S50001", "S60001"):
        set_song_seed(scene)
        expected = np.random.get_state()[1].copy()
        np.random.seed(int(hashlib.md5(scene.encode()).hexdigest(), 16) % 10**8)
        np.testing.assert_array_equal(np.random.get_state()[1], expected)


@pytest.fixture(scope="module")
def files(pairs, tmp_path_factory):
    """A folder with the amplified mixture of each pair."""
    folder = tmp_path_factory.mktemp("files")
    for pair, ears in enhance(System(Passthrough(RATE_HZ), ConsistentRemix(), AID), pairs):
        write_flac(folder / pair.enhanced_file, resample(ears, RATE_HZ, 32000), 32000)
    return folder


def referenced(pairs):
    return with_references(Scorer(AID), pairs, SoundFiles(RATE_HZ))


def score(scorer, pair):
    ((_, reference),) = referenced([pair])
    return scorer(pair, reference)


def test_a_reference_is_made_once_for_a_scene_and_its_stems_are_decoded_once(pairs, monkeypatch):
    decoded = []
    monkeypatch.setattr(
        "cmss.scenes.sound_files.read_excerpt",
        lambda excerpt, rate: decoded.append(excerpt) or read_excerpt(excerpt, rate),
    )
    found = list(referenced(pairs))
    assert sorted(pair.name for pair, _ in found) == sorted(pair.name for pair in pairs)
    assert len({id(reference) for _, reference in found}) == 4
    assert len(decoded) == len(set(decoded)) == 5
    for pair, reference in found:
        np.testing.assert_array_equal(reference, Scorer(AID).reference(pair.scene))


@pytest.mark.parametrize("jobs", [1, 2])
def test_damaged_files_cost_only_the_scores_that_need_them(pairs, files, tmp_path, jobs):
    """A stem of a track and an enhanced file are damaged; another pair is scored as before."""
    stem = tmp_path / "damaged.flac"
    source = pairs[0].scene.track.sources["source_1"]
    stem.write_bytes(source.excerpt.path.read_bytes()[:2000])
    damaged = replace(source, excerpt=replace(source.excerpt, path=stem))
    track = pairs[0].scene.track
    track = replace(track, name="other", sources=track.sources | {"source_1": damaged})
    spoilt = replace(pairs[0], scene=replace(pairs[0].scene, track=track))
    shutil.copytree(files, tmp_path / "files")
    enhanced = tmp_path / "files" / pairs[1].enhanced_file
    enhanced.write_bytes(enhanced.read_bytes()[:-300])

    scorer = FileScorer(Scorer(AID), tmp_path / "files", 32000)
    scored = score_files(scorer, referenced([spoilt, *pairs[1:3]]), jobs)
    results = {pair.name: result for pair, result in scored}
    assert len(results) == 3
    for pair, path in ((spoilt, stem), (pairs[1], enhanced)):
        with pytest.raises(InputError, match=f"^{path}: truncated or damaged") as caught:
            results[pair.name]()
        assert len(caught.value.problems) == 1
    assert results[pairs[2].name]() == score(scorer, pairs[2])


def test_scores_do_not_depend_on_what_was_scored_before(pairs, files):
    scorer = FileScorer(Scorer(AID), files, 32000)
    scored = score_files(scorer, referenced(pairs[:2]), jobs=1)
    (first, first_score), (second, second_score) = ((pair, score()) for pair, score in scored)
    assert (first, second) == (pairs[0], pairs[1])
    assert score(scorer, pairs[1]) == second_score
    assert score(scorer, pairs[0]) == first_score


def test_clipped_samples_are_counted(pairs, files, tmp_path):
    pair = pairs[0]
    signal = np.zeros((2, 3200)) + 0.01 * np.random.default_rng(0).standard_normal((2, 3200))
    signal[0, 1000:1007], signal[1, 5] = 3, -2
    write_flac(tmp_path / pair.enhanced_file, signal, 32000)
    assert score(FileScorer(Scorer(AID), tmp_path, 32000), pair)[2] == 8
    assert score(FileScorer(Scorer(AID), files, 32000), pair)[2] == 0


def test_a_file_at_another_rate_is_refused(pairs, tmp_path):
    path = tmp_path / pairs[0].enhanced_file
    write_flac(path, np.zeros((2, 1000)), RATE_HZ)
    with pytest.raises(InputError, match=f"{path}: 2 channel.* at 44100 Hz, expected 2 at 32000"):
        score(FileScorer(Scorer(AID), tmp_path, 32000), pairs[0])


def test_a_file_far_longer_than_its_mixture_is_not_read(pairs, tmp_path):
    path = tmp_path / pairs[0].enhanced_file
    write_flac(path, np.zeros((2, 40000)), 32000)
    with pytest.raises(InputError, match=rf"{path}: 1\.25 s, expected 0\.3 s"):
        score(FileScorer(Scorer(AID), tmp_path, 32000), pairs[0])


def test_a_killed_process_is_named_and_other_pairs_are_scored(pairs):
    killed = 4
    in_order = [pair for pair, _ in referenced(pairs)]
    scored = []
    with pytest.raises(ChildProcessError, match=r"was killed.*same command again"):  # noqa: PT012
        for pair, result in score_files(KilledAt(in_order[killed].name), referenced(pairs), 2):
            scored.append(pair.name)
            assert result() == pair.name
    assert in_order[killed].name not in scored
    # The other process may have worked on an earlier pair.
    assert len(scored) >= killed - 1


def test_a_silent_reference_names_the_pair(pairs):
    with pytest.raises(InputError, match="S50002_L5999: the reference is silent in one"):
        Scorer(AID).score(np.zeros((2, 9000)), np.zeros((2, 9000)), 32000, pairs[2])


def test_a_silent_enhanced_file_has_a_low_score(pairs):
    pair = pairs[1]
    scorer = Scorer(AID)
    reference = scorer.reference(pair.scene)
    silence = np.zeros((2, round(reference.shape[1] * 32000 / RATE_HZ)))
    left, right = scorer.score(reference, silence, 32000, pair)
    assert max(left.score, right.score) < 0.2


def test_what_is_too_short_to_score_names_the_pair(pairs):
    pair = pairs[0]
    with pytest.raises(InputError, match=f"{pair.name}: .*less than 16 ms"):
        Scorer(AID).score(np.ones((2, 100)), np.ones((2, 73)), 32000, pair)


def lost_while_starting(work):
    """The first process is killed, and the pool has noticed it, before the second pair is given."""
    yield next(work)
    (process,) = active_children()
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    time.sleep(0.5)  # The thread of the pool notices it within milliseconds.
    yield from work


def test_a_process_that_is_killed_while_others_are_started(pairs):
    with pytest.raises(ChildProcessError, match=r"a scoring process was killed"):
        list(score_files(KilledAt(""), lost_while_starting(referenced(pairs)), jobs=2))
    assert not active_children()
