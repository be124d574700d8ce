import hashlib
import re
import shutil
from argparse import Namespace
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cmss.rendering.arrange import (
    draw_ensembles,
    draw_string_ensembles,
    give_parts,
    instrument_of,
)
from cmss.rendering.held_out import kept_pitches, matches
from cmss.rendering.musicxml import read_score
from cmss.rendering.notation import RANGES, ScoreNote, activity, cut
from cmss.rendering.notes import read_notes_csv
from cmss.scenes import INSTRUMENTS, STRINGS, MetadataPaths, load_pairs
from metadata_tools.inputs.options import split_of
from metadata_tools.render import main
from tests.support.challenge_set import assert_levels_and_sums, digest, labels, read_json

SPLITS = ("train", "valid", "test")
PINNED = "d1e665592efc9cb8046de2ed9f227beb1fe7dc1c2cd84714907a8af85963265c"
"""SHA-256 of the samples of the test split that :func:`rendered` renders on AVX-512."""
PINNED_SAMPLES = Path(__file__).with_name("test_split.npz")
"""Every :data:`STRIDE`-th sample of the same mixtures, rendered with AVX2."""
STRIDE = 101


def arguments(notes_folder, scores_folder, out, *more):
    return ["--notes", str(notes_folder), "--scores", str(scores_folder), "--out", str(out), *more]


@pytest.fixture(scope="module")
def command(notes_folder, scores_folder):
    """A small rendering of all three splits; the folder and more options are to be added."""
    small = ["--train-tracks", "8", "--valid-tracks", "2", "--test-tracks", "4", "--duration", "4"]

    def run(out, *more):
        return main(arguments(notes_folder, scores_folder, out, *small, *more))

    return run


@pytest.fixture(scope="module")
def rendered(command, tmp_path_factory):
    out = tmp_path_factory.mktemp("rendered") / "data"
    assert command(out, "--seed", "5", "--jobs", "1") == 0
    return out


@pytest.mark.parametrize(("split", "tracks"), [("train", 8), ("valid", 2), ("test", 4)])
def test_every_split_is_read_back_as_pairs(rendered, split, tracks):
    pairs = load_pairs(MetadataPaths.of(rendered, split))
    assert len(pairs) == tracks * 4
    assert {pair.scene.split for pair in pairs} == {split}
    assert len({pair.scene.track.name for pair in pairs}) == tracks


@pytest.mark.parametrize("split", SPLITS)
def test_levels_and_sums(rendered, split):
    assert_levels_and_sums(rendered, split)


def test_the_test_split_keeps_its_samples(rendered):
    """Scores of different versions can be compared only if the test set has the same samples."""
    paths = sorted((rendered / "audio" / "test").rglob("Mixture.flac"))
    samples = np.stack([soundfile.read(path, dtype="int16")[0] for path in paths])
    if hashlib.sha256(samples.tobytes()).hexdigest() == PINNED:
        return
    # Functions of NumPy differ in the last bit between processors with and without AVX-512, which
    # changes the rounding to 16 bits.
    kept = np.load(PINNED_SAMPLES)["samples"]
    np.testing.assert_allclose(samples[:, ::STRIDE].astype(int), kept, rtol=0, atol=2)


def test_tracks_go_from_duet_to_quintet_and_some_double_an_instrument(rendered):
    assert [len(names) for names in labels(rendered, "train")] == [2, 3, 4, 5] * 2
    everybody = [name for split in SPLITS for names in labels(rendered, split) for name in names]
    assert any(name.endswith("_2") for name in everybody)


def test_the_training_files_are_listed_as_the_baseline_reads_them(rendered):
    tracks = read_json(rendered, "music_tracks.train.json")
    assert list(tracks) == list(read_json(rendered, "music.train.json"))
    for track in tracks.values():
        assert set(track) == {"dataset", "stems_path", "mixture_path"}
        for path in [*track["stems_path"], track["mixture_path"]]:
            assert (rendered / "audio" / "train" / path).is_file()


def test_the_splits_share_no_work(rendered):
    works = [
        {re.sub(r"_\d+$", "", name) for name in read_json(rendered, f"music.{split}.json")}
        for split in SPLITS
    ]
    assert not works[0] & works[1]
    assert not works[0] & works[2]
    assert not works[1] & works[2]
    assert all("haydn" in name for name in works[2])
    assert not any("haydn" in name or "saint" in name for name in works[0])


def test_notes_in_two_folders_are_played_like_the_same_notes_in_one(
    notes_folder, scores_folder, tmp_path
):
    """Each folder has half of the pitches of each instrument."""
    halves = [tmp_path / "even", tmp_path / "odd"]
    header, *lines = (notes_folder / "notes.csv").read_text().splitlines()
    pitch = header.split(",").index("midi")
    for number, half in enumerate(halves):
        shutil.copytree(notes_folder, half)
        kept = [line for line in lines if int(line.split(",")[pitch]) % 2 == number]
        assert kept
        (half / "notes.csv").write_text("\n".join([header, *kept]))
    few = ["--train-tracks", "3", "--duration", "2", "--jobs", "1", "--holdout-notes", "0"]
    scores = ["--scores", str(scores_folder), *few, "--out"]
    assert main(["--notes", str(notes_folder), *scores, str(tmp_path / "one")]) == 0
    assert main(["--notes", *map(str, halves), *scores, str(tmp_path / "two")]) == 0
    assert digest(tmp_path / "one") == digest(tmp_path / "two")


def test_training_does_not_hear_the_notes_of_the_test(notes_folder, scores_folder, tmp_path):
    """Held-out recordings are silenced: what is rendered for training stays the same."""
    muted = tmp_path / "notes"
    shutil.copytree(notes_folder, muted)
    for instrument, rows in read_notes_csv(muted).items():
        held_out = kept_pitches((int(row["midi"]) for row in rows), 4, held_out=True)
        assert held_out, instrument
        for row in rows:
            if int(row["midi"]) in held_out:
                soundfile.write(muted / row["file"], np.zeros(44100), 44100)
    few = ["--train-tracks", "3", "--duration", "2", "--jobs", "1"]
    for notes, name in ((notes_folder, "with"), (muted, "without")):
        assert main(arguments(notes, scores_folder, tmp_path / name, *few)) == 0
    assert digest(tmp_path / "with") == digest(tmp_path / "without")


def test_the_same_seed_gives_the_same_files_on_any_number_of_processes(
    notes_folder, scores_folder, tmp_path
):
    # Two works, so that each of the two processes has one.
    for jobs in ("1", "2"):
        few = ["--test-tracks", "2", "--duration", "2", "--jobs", jobs]
        assert main(arguments(notes_folder, scores_folder, tmp_path / jobs, *few)) == 0
    assert digest(tmp_path / "1") == digest(tmp_path / "2")


def test_a_word_matches_anywhere_and_a_pattern_the_whole_name():
    assert matches("Haydn_Joseph__Quartet", ["haydn"])
    assert matches("Haydn_Joseph__Quartet", ["*quartet"])
    assert not matches("Haydn_Joseph__Quartet", ["quartet*"])


def test_a_work_claimed_by_two_splits_is_in_test_alone():
    options = Namespace(valid_works=["A", "B"], test_works=["B"])
    splits = {work: split_of(work, options, "train") for work in "ABC"}
    assert splits == {"A": "valid", "B": "test", "C": "train"}


def test_instruments_occur_about_equally_often_and_a_fifth_is_doubled():
    rng = np.random.default_rng(1)
    ensembles = list(draw_ensembles(INSTRUMENTS, (2, 3, 4, 5), 200, 0.2, rng))
    played = Counter(name for names in ensembles for name in {instrument_of(n) for n in names})
    assert min(played.values()) > 0.9 * max(played.values())
    doubled = [names for names in ensembles if any(name.endswith("_2") for name in names)]
    assert len(doubled) == pytest.approx(40, abs=2)
    assert {len(names) for names in doubled} == {2, 3, 4, 5}
    for names in ensembles:
        assert len(set(names)) == len(names)


def test_strings_are_duets_to_quintets_with_and_without_a_doubled_instrument():
    sizes = (2, 3, 4, 5)
    ensembles = [*draw_string_ensembles(sizes, 80, np.random.default_rng(1))]
    assert [len(labels) for labels in ensembles] == [*sizes] * 20
    players = [[instrument_of(label) for label in labels] for labels in ensembles]
    assert {name for names in players for name in names} == set(STRINGS)
    # The violins, then the violas, then the cello; two players of an instrument are numbered.
    assert all(names == sorted(names, key=["Violin", "Viola", "Cello"].index) for names in players)
    for size, doubled in ((2, 10), (3, 10), (4, 20), (5, 20)):
        of_size = [names for names in players if len(names) == size]
        assert sum(len(set(names)) < size for names in of_size) == doubled
    assert {names.count("Cello") for names in players} == {0, 1}


def test_only_strings_are_rendered_on_request(notes_folder, scores_folder, tmp_path, capsys):
    few = ["--test-tracks", "4", "--duration", "2", "--jobs", "1", "--holdout-notes", "0"]
    strings = [*few, "--strings", "--scenes-per-track", "1"]
    assert main(arguments(notes_folder, scores_folder, tmp_path / "strings", *strings)) == 0
    played = labels(tmp_path / "strings", "test")
    assert {instrument_of(name) for names in played for name in names} <= set(STRINGS)
    without = tmp_path / "winds"
    shutil.copytree(notes_folder, without)
    lines = (without / "notes.csv").read_text().splitlines()
    (without / "notes.csv").write_text("\n".join(x for x in lines if ",Viola," not in x))
    assert main(arguments(without, scores_folder, tmp_path / "refused", *strings)) == 2
    assert "no notes of Viola, expected with --strings" in capsys.readouterr().err


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_parts_lie_in_their_players_ranges_and_everybody_plays(scores_folder, size):
    score = read_score(scores_folder / "Arriaga__Quartet.musicxml")
    rng = np.random.default_rng(size)
    excerpt = [cut(part, 4, 44) for part in score.parts]
    for ensemble in draw_ensembles(INSTRUMENTS, (size,), 20, 0.3, rng):
        parts = give_parts(excerpt, ensemble, RANGES, rng)
        assert tuple(parts) == ensemble
        for label, part in parts.items():
            low, high = RANGES[instrument_of(label)]
            assert all(low <= note.midi <= high for note in part)
        # Two players may share a part, half each at worst.
        assert min(activity(part, 40) for part in parts.values()) > 0.2


@pytest.mark.parametrize("instrument", ["Violin", "Viola", "Flute", "Sax"])
def test_the_first_of_two_players_has_the_upper_part(instrument):
    """Also where octaves bring a part into the range from above, below the other one."""
    for top in range(60, 104):
        upper, lower = (
            tuple(ScoreNote(float(n), 1.0, midi + n % 3) for n in range(8))
            for midi in (top, top - 7)
        )
        labels = (f"{instrument}_1", f"{instrument}_2")
        parts = give_parts([upper, lower], labels, RANGES, np.random.default_rng(top))
        means = [np.mean([note.midi for note in parts[label]]) for label in labels]
        assert means[0] > means[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--test-works", "Bruckner"], "no score for the test split; see --test-works"),
        (["--train-tracks", "1", "--exclude-works", "*"], "no score for the train split"),
        (["--holdout-notes", "9"], "less than an octave; see --holdout-notes"),
        (["--test-tracks", "0"], "no tracks to render"),
        (["--test-tracks", "50000"], "test scenes have ids S60001 to S99999 only"),
        (["--listeners", "99"], "99 listeners: expected at most 98"),
        (["--notes", "nowhere"], "nowhere/notes.csv: missing"),
        (["--scores", "nowhere"], "nowhere: no such folder, expected a folder of scores"),
    ],
)
def test_bad_input_is_named_before_anything_is_written(
    notes_folder, scores_folder, tmp_path, capsys, options, message
):
    out = tmp_path / "out"
    assert main(arguments(notes_folder, scores_folder, out, *options)) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_broken_score_leaves_nothing_behind(notes_folder, tmp_path, capsys):
    scores, out = tmp_path / "scores", tmp_path / "out"
    scores.mkdir()
    (scores / "Haydn.musicxml").write_text("<score-partwise>")
    status = main(arguments(notes_folder, scores, out, "--test-tracks", "1", "--jobs", "1"))
    assert status == 2
    assert "Haydn.musicxml: not readable as MusicXML" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [scores]


def test_an_output_folder_with_files_is_left_alone(command, tmp_path, capsys):
    (tmp_path / "mine").write_text("keep")
    assert command(tmp_path) == 2
    assert "is not an empty folder" in capsys.readouterr().err
    assert (tmp_path / "mine").read_text() == "keep"
