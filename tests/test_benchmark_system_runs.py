"""The command that writes the table of all systems, with the real stages."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import system_runs
from benchmarks.system_runs import SYSTEMS, System
from benchmarks.systems import main
from cmss.files.row_file import read_rows
from cmss.nmf.dictionaries import load_dictionaries
from cmss.results.rows import ScoreRow
from cmss.results.separation import read_separation
from cmss.separators import SEPARATORS
from tests.support.tiny_challenge import TinyChallenge
from tests.support.tiny_run import identities, write_metadata

NAMES = ("passthrough", "nmf", "waveunet", "oracle")


@pytest.fixture
def stages(server, tmp_path, monkeypatch):
    """The stages that are called, with their run; each a fork instead of a program's start."""
    called: list[str] = []

    def stage(name: str, *overrides: str) -> bool:
        (folder,) = (each for each in overrides if each.startswith("path.exp_folder="))
        called.append(f"{name} {Path(folder).name}")
        own = ["evaluate.jobs=1"] if name == "evaluate" else []
        return server.run(name, *overrides, *own, cwd=tmp_path).status == 0

    monkeypatch.setattr(system_runs, "_stage", stage)
    nowhere = f"separator.weights_from={tmp_path}/none.safetensors"
    monkeypatch.setitem(SYSTEMS, "waveunet", System(("separator=waveunet", nowhere)))
    # One system has both remixes.
    quick = System(("separator=nmf", "separator.iterations=1"), official=True)
    monkeypatch.setitem(SYSTEMS, "nmf", quick)
    monkeypatch.setitem(SYSTEMS, "oracle", System(("separator=oracle",)))
    return called


def write_data(folder: Path) -> None:
    """Three pairs: a trio of strings for two listeners, a duet of cello and oboe for one."""
    folder.mkdir()
    write_metadata(TinyChallenge(folder))


def call(folder: Path, *more: str) -> int:
    data, out = str(folder / "data"), str(folder / "table")
    return main([data, "--split", "valid", "--out", out, *more])


def tables(text: str) -> list[list[dict[str, str]]]:
    """Each table of a page: its rows by head."""
    found = []
    for block in text.split("\n\n"):
        lines = [line.strip("|").split("|") for line in block.splitlines() if line[:1] == "|"]
        if lines:
            head, _, *rows = [[cell.strip() for cell in line] for line in lines]
            found.append([dict(zip(head, row, strict=True)) for row in rows])
    return found


def scores(folder: Path) -> np.ndarray:
    return np.array([row.avg_haaqi for row in read_rows(folder / "scores.csv", ScoreRow)])


def test_every_separator_is_a_system():
    chosen = {choice for system in SYSTEMS.values() for choice in system.choices}
    # A network that users bring has no weights here.
    assert {f"separator={name}" for name in SEPARATORS if name != "module"} <= chosen


def test_every_system_has_its_row_and_a_second_call_makes_nothing_anew(tmp_path, stages, capsys):
    write_data(tmp_path / "data")
    out = tmp_path / "table"
    page = tmp_path / "results.md"
    mark = "<!-- benchmarks.systems tiny: {} -->"
    page.write_text("\n".join(map(mark.format, ("begin", "end"))))
    chosen = ["--systems", *NAMES, "--against", "nmf", "--into", str(page), "--name", "tiny"]
    assert call(tmp_path, *chosen) == 1
    said = capsys.readouterr()

    systems, kinds, differences = tables(said.out)
    names = [(row["system"], row["remix"]) for row in systems]
    assert names == [
        ("passthrough", ""),
        ("nmf", "consistent"),
        ("nmf", "official"),
        ("waveunet", ""),
        ("oracle", "consistent"),
    ]
    untouched, consistent, official, untrained, oracle = systems
    assert (untouched["gap closed"], oracle["gap closed"]) == ("0.00", "1.00")
    assert untrained.pop("trained") == "untrained"
    assert not any([*untrained.values()][1:])
    assert said.err.splitlines()[0].startswith(f"{tmp_path}/none.safetensors: no such weights")
    assert said.err.splitlines()[-1] == "waveunet: untrained"

    # The same stems put together twice, measured and separated once.
    assert official["average"] != consistent["average"]
    for head in ("SDR", "SIR", "SAR", "s per min", "parameters", "trained"):
        assert official[head] == consistent[head] != ""
    for folder in (out / "nmf", out / "nmf_official"):
        kept = json.loads((folder / "provenance.json").read_text())["configuration"]["separator"]
        assert kept["cache"] == str(out / "cache/nmf")
    assert not (out / "cache/nmf").exists()
    # Differences of less than a 16-bit step, of 5 sources of two tracks.
    assert oracle["SDR"] == "> 100"
    assert len(read_separation(out / "oracle")) == 5
    assert not read_separation(out / "nmf_official")
    templates = load_dictionaries(Path("cmss/weights/nmf_kl_small.safetensors")).templates
    assert consistent["parameters"] == f"{sum(each.numel() for each in templates.values()):,}"

    strings, mixed = (
        [float(row[f"{kind} average"]) for row in kinds] for kind in ("strings", "mixed")
    )
    means = (2 * np.array(strings) + np.array(mixed)) / 3
    expected = [float(row["average"]) for row in systems if row["average"]]
    # Four decimals, of two means.
    np.testing.assert_allclose(means, expected, atol=1.1e-4)
    assert {row["winds left"] for row in kinds} == {""}

    assert [(row["system"], row["remix"]) for row in differences] == [*names[:1], *names[2:3]]
    rise = np.mean(scores(out / "nmf") - scores(out / "passthrough"))
    assert differences[0]["difference"] == f"{rise:+.4f}"
    low, high = float(differences[0]["95 %, from"]), float(differences[0]["to"])
    assert low <= float(differences[0]["difference"]) <= high

    begin, end = map(mark.format, ("begin", "end"))
    assert page.read_text() == f"{begin}\n\n{said.out}\n{end}"

    made, before = identities(out / "nmf"), list(stages)
    stages.clear()
    assert call(tmp_path, *chosen) == 1
    assert capsys.readouterr().out == said.out
    assert identities(out / "nmf") == made
    assert stages == [each for each in before if not each.startswith("merge_results")]


def test_a_stage_that_fails_is_a_row_and_other_data_are_refused(
    tmp_path, stages, monkeypatch, capsys
):
    write_data(tmp_path / "data")
    broken = System(("separator=passthrough", "remix_sample_rate=-1"))
    monkeypatch.setitem(SYSTEMS, "nmf_is", broken)
    assert call(tmp_path, "--systems", "passthrough", "nmf_is") == 1
    said = capsys.readouterr()
    assert [row["trained"] for row in tables(said.out)[0]] == ["", "failed"]
    assert said.err.splitlines() == ["nmf_is: failed"]

    stages.clear()
    assert call(tmp_path, "--split", "train", "--systems", "passthrough") == 2
    assert "use a different --out" in capsys.readouterr().err
    assert stages == []
    (tmp_path / "data/metadata/gains.json").write_text("{")
    assert call(tmp_path, "--systems", "passthrough") == 2
    assert "gains.json: malformed JSON" in capsys.readouterr().err
    assert stages == []
