"""Every command refuses an output that cannot be written before its work."""

from pathlib import Path

import pytest

from benchmarks import auditory, factors, systems, transforms
from cmss.training import average, compress


def existing_folder(folder: Path) -> Path:
    path = folder / "taken.png"
    path.mkdir()
    return path


def below_a_file(folder: Path) -> Path:
    (folder / "file").write_text("mine")
    return folder / "file" / "sub" / "out.png"


@pytest.mark.parametrize("place", [existing_folder, below_a_file])
@pytest.mark.parametrize("program", [auditory, factors, transforms])
def test_pictures(tmp_path, capsys, monkeypatch, program, place):
    monkeypatch.setattr(program, "excerpt", lambda _: pytest.fail("worked before it had checked"))
    path = place(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert program.main(["--out", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"--out {path}: ")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("place", [existing_folder, below_a_file])
@pytest.mark.parametrize("program", [average, compress])
def test_weights(tmp_path, capsys, program, place):
    path = place(tmp_path)
    assert program.main([str(tmp_path / "none.safetensors"), str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(path) in line
    assert "none.safetensors" not in line


@pytest.mark.parametrize("program", [average, compress])
def test_weights_are_not_replaced_by_what_is_made_of_them(tmp_path, capsys, program):
    (tmp_path / "w.safetensors").write_text("mine")
    (tmp_path / "twin.safetensors").hardlink_to(tmp_path / "w.safetensors")
    for name in ("w", "twin"):
        arguments = [str(tmp_path / "w.safetensors"), str(tmp_path / f"{name}.safetensors")]
        assert program.main(arguments) == 2
        assert "would replace the input" in capsys.readouterr().err
    assert (tmp_path / "w.safetensors").read_text() == "mine"


def test_the_table_of_systems(tmp_path, capsys):
    (tmp_path / "data" / "metadata").mkdir(parents=True)
    (tmp_path / "without.md").write_text("no marks")
    refused = {
        ("--into", str(existing_folder(tmp_path))): "is a folder",
        ("--into", str(tmp_path / "without.md")): "expected <!-- benchmarks.systems: begin -->",
        ("--out", str(tmp_path / "without.md")): "is a file, expected a folder",
    }
    for arguments, expected in refused.items():
        assert systems.main([str(tmp_path / "data"), *arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert expected in line


@pytest.mark.parametrize(
    ("stage", "key"),
    [
        ("fit", "path.ensemble_file"),
        ("fit_dictionaries", "path.weights_file"),
        ("fit_postfilter", "path.weights_file"),
    ],
)
def test_recipes(server, tmp_path, stage, key):
    for place in (existing_folder, below_a_file):
        path = place(tmp_path)
        done = server.run(stage, "path.root=none", f"{key}={path}", cwd=tmp_path)
        assert (done.status, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"{key} {path}: ")
