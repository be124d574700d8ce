import numpy as np
import pytest

from cmss.audio import write_flac
from cmss.errors import InputError
from cmss.fingerprint import fingerprint
from cmss.run.kept_files import enhanced_files
from cmss.scenes import SoundFiles
from tests.support.tiny_pairs import make_pairs

PAIRS = make_pairs(duration_s=0.1)
WANTED = {
    pair.name: fingerprint({"remix": "official", "scene": number})
    for number, pair in enumerate(PAIRS)
}
INPUTS = {pair.name: fingerprint({"scene": number}) for number, pair in enumerate(PAIRS)}


def write(folder, pair, comment: str) -> None:
    write_flac(folder / pair.enhanced_file, np.full((2, 3200), 0.1), 32000, comment=comment)


@pytest.fixture
def run(tmp_path):
    """A run in which all pairs except the last are enhanced."""
    for pair in PAIRS[:-1]:
        write(tmp_path, pair, WANTED[pair.name])
    return tmp_path


def missing(folder, pairs, wanted, on_change) -> list:
    """Return the names of pairs without a valid file, in order."""
    found = enhanced_files(folder, pairs, SoundFiles(44100)).missing(wanted, on_change)
    return [pair for pair in pairs if pair.name in found]


def check(folder, pairs) -> None:
    enhanced_files(folder, pairs, SoundFiles(44100), digest=True).check(INPUTS)


def names(folder) -> set[str]:
    return {path.name.removesuffix("_remix.flac") for path in folder.rglob("*.flac")}


def test_whole_files_stay_and_others_are_missing(run):
    path = run / PAIRS[0].enhanced_file
    path.write_bytes(path.read_bytes()[:-50])
    assert missing(run, PAIRS, WANTED, "error") == [PAIRS[0], PAIRS[-1]]


def test_what_would_come_out_otherwise_is_told_or_deleted(run):
    wanted = WANTED | {PAIRS[1].name: fingerprint({"remix": "official", "scene": "new"})}
    with pytest.raises(InputError, match=rf"enhanced_signals: .* scene \(1: {PAIRS[1].name}\);"):
        missing(run, PAIRS, wanted, "error")
    assert names(run) == {pair.name for pair in PAIRS[:-1]}
    assert missing(run, PAIRS, wanted, "redo") == [PAIRS[1], PAIRS[-1]]
    assert names(run) == {pair.name for pair in PAIRS[:-1]} - {PAIRS[1].name}


def test_files_of_other_pairs_are_left_alone(run):
    assert missing(run, PAIRS[:2], WANTED, "redo") == []
    assert len(names(run)) == len(PAIRS) - 1


def test_missing_files_are_all_named(run):
    (run / PAIRS[2].enhanced_file).unlink()
    with pytest.raises(InputError) as caught:
        check(run, PAIRS)
    assert caught.value.problems == tuple(
        f"{run / PAIRS[number].enhanced_file}: no such enhanced file" for number in (2, -1)
    )


def test_files_of_one_system_and_the_present_inputs_pass(run):
    check(run, PAIRS[:-1])


def test_files_of_another_program_pass_among_others(run):
    write(run, PAIRS[-1], "")
    write(run, PAIRS[0], "of another program")
    check(run, PAIRS)


def test_a_damaged_file_is_left_to_those_who_read_it(run):
    path = run / PAIRS[0].enhanced_file
    path.write_bytes(path.read_bytes()[:-50])
    check(run, PAIRS[:-1])


def test_files_of_two_systems_and_of_other_inputs_are_told_together(run):
    write(run, PAIRS[-1], fingerprint({"remix": "consistent", "scene": "old"}))
    with pytest.raises(InputError) as caught:
        check(run, PAIRS)
    name = PAIRS[-1].name
    assert caught.value.problems == (
        f"{run}/enhanced_signals: produced with different inputs or settings: remix (1: {name}), "
        f"scene (1: {name}); run enhance.py with on_change=redo to replace these results",
    )
