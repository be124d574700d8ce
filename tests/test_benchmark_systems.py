"""The table that compares runs."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.scored_runs import figures, read_run
from benchmarks.systems import main
from cmss.files.row_file import write_rows
from cmss.models.weights_file import write_weights
from cmss.results.rows import ScoreRow
from cmss.results.separation import SeparationRow, write_separation

BEGIN = "<!-- benchmarks.systems: begin -->"
END = "<!-- benchmarks.systems: end -->"


def run(folder, separator: str, scores: dict[str, float]):
    folder.mkdir()
    (folder / "config.yaml").write_text(
        f"separator: {{name: {separator}}}\nremix: {{name: official}}\n"
    )
    rows = [ScoreRow(scene, "duo", "L5001", x - 0.1, x + 0.1, x) for scene, x in scores.items()]
    write_rows(folder / "scores.csv", ScoreRow, rows)
    return str(folder)


@pytest.fixture
def runs(tmp_path):
    return [
        run(tmp_path / "a", "passthrough", {"S50001": 0.4, "S50002": 0.6}),
        run(tmp_path / "b", "convtasnet", {"S50002": 0.7, "S50001": 0.5}),
        run(tmp_path / "c", "oracle", {"S50001": 0.8, "S50002": 1.0}),
    ]


def test_distance_lies_between_passthrough_and_oracle(runs, capsys):
    assert main(runs) == 0
    rows = capsys.readouterr().out.splitlines()[-3:]
    assert rows[0] == "| passthrough |  | 0.4000 | 0.6000 | 0.5000 | 0.00 |"
    assert rows[1] == "| convtasnet | official | 0.5000 | 0.7000 | 0.6000 | 0.25 |"
    assert rows[2] == "| oracle | official | 0.8000 | 1.0000 | 0.9000 | 1.00 |"


def test_separation_is_a_column_where_it_was_measured(runs, capsys):
    rows = [SeparationRow("duo", "source_1", "Flute", sdr, 9.0, 9.0) for sdr in (1.0, 2.04, 8.0)]
    write_separation(Path(runs[1]), rows)
    assert main(runs) == 0
    table = capsys.readouterr().out.splitlines()[-5:]
    assert [line.split(" | ")[-1] for line in table] == [
        "SDR in dB |",
        "---: |",
        " |",
        "2.0 |",
        " |",
    ]


def test_recorded_figures_are_those_of_the_table(runs, capsys):
    rows = [SeparationRow("duo", "source_1", "Flute", 2.04, 120.0, 9.0)]
    write_separation(Path(runs[1]), rows)
    found = figures([read_run(Path(path)) for path in runs])
    assert main(runs) == 0
    table = capsys.readouterr().out.splitlines()[-3:]
    for line, (name, remixes) in zip(table, found.items(), strict=True):
        _, system, remix, left, right, average, gap, *_ = line.split("|")
        row = remixes[remix.strip() or "consistent"]
        assert system.strip() == name
        numbers = [row[key] for key in ("left", "right", "average", "gap_closed")]
        assert numbers == [*map(float, (left, right, average, gap))]
    measured = found["convtasnet"]["official"]
    assert [measured[f"{key}_db"] for key in ("sdr", "sir", "sar")] == [2.0, 120.0, 9.0]
    assert found["oracle"]["official"]["sdr_db"] is None


def test_figures_are_recorded_only_for_known_test_sets(tmp_path, capsys):
    (tmp_path / "metadata").mkdir()
    assert main([str(tmp_path), "--record", "--name", "soundfnot"]) == 2
    assert "did you mean soundfont?" in capsys.readouterr().err


def test_weights_that_two_installations_took_in_turns_count_once(runs, tmp_path):
    digests = {}
    for installation in ("first", "second"):
        path = tmp_path / f"{installation}.safetensors"
        write_weights(path, {"templates": torch.ones(2, 3)}, {})
        digests[str(path)] = "one digest"
    (Path(runs[1]) / "provenance.json").write_text(json.dumps({"weights": digests}))
    assert read_run(Path(runs[1])).parameters == 6


def test_no_gap_closed_without_both_bounds(runs, capsys):
    assert main(runs[1:]) == 0
    assert "gap closed" not in capsys.readouterr().out


def test_table_is_put_between_the_marks_and_only_there(runs, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        assert main([*runs, "--into", str(page)]) == 0
    table = capsys.readouterr().out.split("\n\n")[-1]
    assert page.read_text() == f"before\n{BEGIN}\n\n{table}\n{END}\nafter\n"


@pytest.mark.parametrize("text", ["no marks", f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_page_without_marks_is_left_alone(runs, tmp_path, capsys, text):
    page = tmp_path / "page.md"
    page.write_text(text)
    assert main([*runs, "--into", str(page)]) == 2
    assert "once each" in capsys.readouterr().err
    assert page.read_text() == text


def test_marks_may_have_names(runs, tmp_path, capsys):
    page = tmp_path / "page.md"
    mark = "<!-- benchmarks.systems mine: {} -->"
    begin, end = mark.format("begin"), mark.format("end")
    page.write_text(f"{BEGIN}\nother\n{END}\n{begin}\n{end}\n")
    assert main([*runs, "--into", str(page), "--name", "mine"]) == 0
    table = capsys.readouterr().out.split("\n\n")[-1]
    assert page.read_text() == f"{BEGIN}\nother\n{END}\n{begin}\n\n{table}\n{end}\n"


def test_runs_of_other_pairs_and_folders_without_a_run_are_refused(runs, tmp_path, capsys):
    other = run(tmp_path / "d", "oracle", {"S50001": 0.8})
    assert main([runs[0], other]) == 2
    assert capsys.readouterr().err == f"{other}: scored other pairs than {runs[0]}\n"
    assert main([str(tmp_path)]) == 2
    assert "expected one data set" in capsys.readouterr().err
