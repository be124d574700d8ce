import pytest

from cmss.rendering.notation import RANGES
from metadata_tools.notes.bank import write_bank
from metadata_tools.notes.synthesiser import make_bank
from tests.support.tiny_music import write_quartet

WORKS = (
    "Haydn__Quartet_A",
    "Haydn__Quartet_B",
    "Saint-Georges__Quartet",
    "Mozart__Quartet_sq7075297",
    "Mozart__Quartet_sq7078259",
    "Arriaga__Quartet",
)


@pytest.fixture(scope="session")
def bank():
    return make_bank(("Violin", "Bassoon"), seed=3, spacing_semitones=12)


@pytest.fixture(scope="session")
def notes_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded") / "notes"
    write_bank(folder, lambda: make_bank(tuple(RANGES), seed=3, spacing_semitones=5))
    return folder


@pytest.fixture(scope="session")
def scores_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scores")
    for work in WORKS:
        write_quartet(folder / f"{work}.musicxml")
    return folder
