"""The examples of docstrings, of the README, of docs/python.md and the notebook run as written."""

import doctest
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import cmss
from tests.support.source_tree import ROOT, files

RATE_HZ = 44100


@pytest.mark.parametrize("path", files("cmss/api"), ids=lambda path: path.stem)
def test_docstrings(path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def test_every_public_function_has_an_example():
    for name in set(cmss.__all__) - {"InputError"}:
        assert f"cmss.{name}(" in getattr(cmss, name).__doc__


def first_python_block(page: str) -> str:
    text = (ROOT / page).read_text(encoding="utf-8")
    block = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert block, page
    return block.group(1)


def test_readme_has_at_most_150_lines_and_python_first():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    first_example = re.search(r"^(```\w*|    \S.*)$", text, re.MULTILINE)
    assert first_example
    assert first_example.group() == "```python"


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_first_example_runs_beside_a_recording(page, tmp_path: Path):
    time = np.arange(RATE_HZ // 2) / RATE_HZ
    tones = [np.sin(2 * np.pi * hz * time) for hz in (440, 110)]
    soundfile.write(tmp_path / "mixture.wav", 0.1 * np.stack(tones, axis=1), RATE_HZ)
    example = tmp_path / "example.py"
    example.write_text(first_python_block(page), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, example.name],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    remix, rate_hz = soundfile.read(tmp_path / "remix.wav")
    assert rate_hz == RATE_HZ
    assert remix.shape == (len(time), 2)
    assert 0.01 < np.abs(remix).max() <= 1


def test_notebook(capsys):
    notebook = json.loads((ROOT / "docs" / "notebook.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)
    names: dict = {}
    for cell in code:
        exec(compile("".join(cell["source"]), "notebook.ipynb", "exec"), names)
    scores = {name: score.mean for name, score in names["scores"].items()}
    assert scores["mixture"] < scores["true stems"]
    # The true stems, after the same hearing aid, are the reference.
    assert scores["true stems"] > 0.99
    assert "largest difference" in capsys.readouterr().out
