import numpy as np
import pytest

from cmss.audio import read_sound, resample
from cmss.errors import InputError
from cmss.scenes import Excerpt, Source, Track, load_tracks
from cmss.separators.estimators import LEVEL
from cmss.training.stems import StemTrack, level_warning, load_stems
from tests.support.tiny_challenge import RATE_HZ, TinyChallenge, excerpt


@pytest.fixture
def tracks(tmp_path):
    tiny = TinyChallenge(tmp_path)
    paths = tiny.paths()
    return load_tracks(paths.music_file, paths.music_dir)


def test_stems_are_named_by_the_output_that_they_go_to(tracks):
    duet, trio = load_stems(tracks, 22050)
    assert (duet.name, trio.name) == ("duet", "trio")
    assert set(duet.stems) == {"Cello", "Oboe"}
    assert set(trio.stems) == {"Violin", "Violin_2", "Viola"}


def test_a_stem_is_the_excerpt_at_the_rate_of_the_network(tracks, tmp_path):
    (duet, _) = load_stems(tracks, 22050)
    whole, _ = read_sound(tmp_path / "audio" / "duet" / "Cello.flac")
    expected = resample(whole[:, int(0.1 * RATE_HZ) : int(0.4 * RATE_HZ)], RATE_HZ, 22050)
    stem = duet.stems["Cello"]
    assert stem.dtype == np.int16
    assert stem.shape == expected.shape
    np.testing.assert_allclose(stem / 32767, expected, rtol=0, atol=0.51 / 32767)


def test_the_second_voice_is_not_the_first(tracks):
    (_, trio) = load_stems(tracks, RATE_HZ)
    assert not np.array_equal(trio.stems["Violin"], trio.stems["Violin_2"])


def test_a_track_is_as_long_as_its_shortest_stem():
    stems = {"Violin": np.zeros((2, 90), np.int16), "Cello": np.zeros((2, 80), np.int16)}
    assert StemTrack("uneven", stems).samples == 80


def test_progress_gets_the_number_of_tracks(tracks):
    seen = []

    def progress(items, total):
        seen.append(total)
        return items

    assert len(load_stems(tracks, RATE_HZ, progress)) == 2
    assert seen == [2]


def test_two_players_of_one_name_are_refused(tmp_path):
    tiny = TinyChallenge(tmp_path)
    tiny.files["music_file"]["trio"]["source_2"] = excerpt("Viola", "trio/Violin_2.flac", 0)
    paths = tiny.paths()
    with pytest.raises(InputError, match=r"trio\.source_3\.instrument: Viola occurs twice"):
        load_stems(load_tracks(paths.music_file, paths.music_dir), RATE_HZ)


def test_missing_audio_is_named(tmp_path):
    path = tmp_path / "none.flac"
    part = Excerpt(path, 0.0, 1.0)
    track = Track("lost", {"source_1": Source("source_1", "Oboe", None, part)}, part)
    with pytest.raises(InputError, match=str(path)):
        load_stems([track], RATE_HZ)


def test_tracks_far_from_the_level_of_networks_are_counted_and_the_farthest_is_named():
    """Two stems of equal power, so that the mixture has 3 dB more than each."""
    rng = np.random.default_rng(0)

    def track(name: str, level_db: float) -> StemTrack:
        stems = LEVEL * 10 ** (level_db / 20) * rng.standard_normal((2, 2, 22050)) / np.sqrt(2)
        return StemTrack(name, dict(zip("ab", np.int16(np.rint(stems * 32767)), strict=True)))

    usual = [track("soft", -8), track("loud", 8)]
    assert usual[0].level_db == pytest.approx(-42.3 - 8, abs=0.2)
    assert level_warning(usual) is None
    silent = StemTrack("silent", {"a": np.zeros((2, 22050), np.int16)})
    assert level_warning([*usual, track("louder", 12)]) == (
        "1 of 3 tracks are far from the level at which networks are used, -42 dB RMS: "
        "louder has -30 dB"
    )
    assert level_warning([*usual, track("louder", 12), silent]).endswith("silent has -200 dB")
