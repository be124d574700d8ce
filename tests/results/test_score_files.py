from dataclasses import replace

import numpy as np
import pytest

from cmss.errors import InputError
from cmss.files.row_file import write_rows
from cmss.fingerprint import fingerprint
from cmss.results.rows import ScoreRow
from cmss.results.score_files import ScoreFiles
from tests.support.tiny_scores import (
    COMPONENTS,
    FINGERPRINTS,
    MADE_FROM,
    PAIRS,
    ROWS,
    SCORES,
    write_shards,
)

NAMES = ("scores.csv", "components.csv", "fingerprints.csv")


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def score(files: ScoreFiles) -> None:
    """Add all pairs without a row."""
    for pair, *rows in ROWS:
        if not files.has(pair):
            files.append(*rows)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_killed_at_any_moment_goes_on_to_the_same_files(tmp_path, name):
    write_shards(tmp_path, 1)
    before = contents(tmp_path)
    assert before.keys() == set(NAMES)
    for end in range(0, len(before[name]), 37):
        for file, data in before.items():
            (tmp_path / file).write_bytes(data[:end] if file == name else data)
        resumed = ScoreFiles(tmp_path, MADE_FROM)
        score(resumed)
        assert resumed.rows == SCORES
        assert contents(tmp_path) == before


def test_what_is_there_is_kept_and_not_scored_again(tmp_path):
    first = ScoreFiles(tmp_path, MADE_FROM)
    for _, *rows in ROWS[:3]:
        first.append(*rows)
    second = ScoreFiles(tmp_path, MADE_FROM)
    assert [second.has(pair) for pair in PAIRS] == [True] * 3 + [False] * 3
    assert second.mean() == np.mean([row.avg_haaqi for row in SCORES[:3]])


def test_rows_scored_late_come_to_stand_in_their_place(tmp_path):
    write_shards(tmp_path, 1)
    before = contents(tmp_path)
    (tmp_path / "scores.csv").unlink()
    files = ScoreFiles(tmp_path, MADE_FROM)
    for _, *rows in reversed(ROWS):
        files.append(*rows)
    assert contents(tmp_path) != before
    files.put_in_order(PAIRS)
    assert contents(tmp_path) == before


CHANGES = {
    "scene": (
        MADE_FROM | {PAIRS[1].name: fingerprint({"enhancer": "first", "scene": "new"})},
        {PAIRS[1].name},
    ),
    "enhancer": (
        {
            pair.name: fingerprint({"enhancer": "other", "scene": number})
            for number, pair in enumerate(PAIRS)
        },
        set(MADE_FROM),
    ),
    "pairs": ({pair.name: MADE_FROM[pair.name] for pair in PAIRS[2:]}, {p.name for p in PAIRS[:2]}),
}


@pytest.mark.parametrize("part", CHANGES)
def test_rows_made_from_something_else_are_told_and_left_alone(tmp_path, part):
    write_shards(tmp_path, 1)
    before = contents(tmp_path)
    now, names = CHANGES[part]
    more = ", ..." if len(names) > 1 else ""
    with pytest.raises(InputError) as caught:
        ScoreFiles(tmp_path, now)
    assert caught.value.problems == (
        f"{tmp_path}/scores.csv: produced with different inputs or settings: {part} ({len(names)}: "
        f"{min(names)}{more}); on_change=redo replaces these results, another "
        "path.exp_folder keeps them",
    )
    assert contents(tmp_path) == before


@pytest.mark.parametrize("part", CHANGES)
def test_rows_made_from_something_else_are_dropped_on_request(tmp_path, part):
    write_shards(tmp_path, 1)
    now, names = CHANGES[part]
    files = ScoreFiles(tmp_path, now, on_change="redo")
    assert {row.pair for row in files.rows} == MADE_FROM.keys() - names


def test_scores_of_another_program_are_not_lost_unasked(tmp_path):
    write_rows(tmp_path / "scores.csv", ScoreRow, SCORES)
    with pytest.raises(InputError, match=rf"origin \(6: {PAIRS[1].name}, \.\.\.\)"):
        ScoreFiles(tmp_path, MADE_FROM)
    assert contents(tmp_path).keys() == {"scores.csv"}
    assert ScoreFiles(tmp_path, MADE_FROM, on_change="redo").rows == []


def test_a_file_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "scores.csv").write_text("name,score\nme,1\n")
    with pytest.raises(InputError, match=r"scores\.csv: columns name,score, expected scene,song"):
        ScoreFiles(tmp_path, MADE_FROM, on_change="redo")
    assert contents(tmp_path).keys() == {"scores.csv"}


def test_a_job_without_pairs_has_files_without_rows(tmp_path):
    assert ScoreFiles(tmp_path, {}, 3, 4).rows == []
    assert contents(tmp_path).keys() == {name.replace(".", "_4-4.") for name in NAMES}


def test_a_score_that_is_not_a_number_is_in_no_sum(tmp_path):
    files = ScoreFiles(tmp_path, MADE_FROM)
    with pytest.raises(ValueError, match="scene S50001, listener L5002: left_haaqi, avg_haaqi"):
        files.append(ScoreRow.of(PAIRS[0], np.nan, 0.5), COMPONENTS[0], FINGERPRINTS[0])
    with pytest.raises(ValueError, match="left_d_loud not finite"):
        files.append(SCORES[0], replace(COMPONENTS[0], left_d_loud=np.inf), FINGERPRINTS[0])
    assert ScoreFiles(tmp_path, MADE_FROM).rows == []
