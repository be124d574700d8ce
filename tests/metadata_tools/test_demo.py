import pytest

from cmss.rendering.arrange import instrument_of
from cmss.rendering.notation import RANGES, typed
from cmss.scenes import INSTRUMENTS, MetadataPaths, load_pairs, load_tracks
from metadata_tools.demo import main
from metadata_tools.scores.pieces import PIECES
from tests.support.challenge_set import assert_levels_and_sums, digest, labels, read_json


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo") / "data"
    assert main(["--out", str(root)]) == 0
    return root


def test_it_is_read_back_as_pairs(demo):
    pairs = load_pairs(MetadataPaths.of(demo, "valid"))
    assert len(pairs) == 8
    assert len({pair.scene.track.name for pair in pairs}) == 4
    # Every listener once, among them the one without loss.
    assert len({pair.listener.id for pair in pairs}) == 8
    assert "L5999" in {pair.listener.id for pair in pairs}
    for pair in pairs:
        assert len(set(pair.scene.gains_db.values())) > 1


def test_levels_and_sums(demo):
    assert_levels_and_sums(demo, "valid")


def test_duet_to_quintet_with_all_instruments_and_two_violins(demo):
    ensembles = labels(demo, "valid")
    assert [len(names) for names in ensembles] == [2, 3, 4, 5]
    assert {instrument_of(name) for names in ensembles for name in names} == set(INSTRUMENTS)
    assert any({"Violin_1", "Violin_2"} <= set(names) for names in ensembles)


def test_tracks_last_six_to_ten_seconds_and_the_whole_is_small(demo):
    for track in read_json(demo, "music.valid.json").values():
        assert 6 <= track["mixture"]["duration"] <= 10
    assert sum(path.stat().st_size for path in demo.rglob("*.*")) < 12e6


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(demo, tmp_path):
    assert main(["--out", str(tmp_path / "same"), "--seed", "1"]) == 0
    assert digest(tmp_path / "same") == digest(demo)


def test_a_split_for_a_first_training_leaves_the_other_split_as_it_is(demo, tmp_path, monkeypatch):
    monkeypatch.setattr("metadata_tools.demo.TRAIN_TRACKS", 2)
    assert main(["--out", str(tmp_path / "both"), "--train"]) == 0
    assert_levels_and_sums(tmp_path / "both", "train")
    before, after = digest(demo), digest(tmp_path / "both")
    valid = [name for name in before if "valid" in name]
    assert valid
    assert all(before[name] == after[name] for name in valid)
    tracks = load_tracks(tmp_path / "both/metadata/music.train.json", tmp_path / "both/audio/train")
    assert [len(track.sources) for track in tracks] == [2, 3]


def test_a_folder_with_files_is_left_alone(demo, capsys):
    before = digest(demo)
    assert main(["--out", str(demo)]) == 2
    assert "is not an empty folder" in capsys.readouterr().err
    assert digest(demo) == before


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.name)
def test_the_parts_of_a_piece_end_together_and_can_be_played(piece):
    ends = set()
    for label, text in piece.parts.items():
        part = typed(text)
        low, high = RANGES[instrument_of(label)]
        assert all(low <= note.midi <= high for note in part)
        ends.add(max(note.onset + note.duration for note in part))
    assert len(ends) == 1
