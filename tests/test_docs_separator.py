"""docs/add_a_separator.md shows the files of the example package."""

import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from cmss.audio import read_excerpt
from cmss.scenes import load_pairs
from tests.support.tiny_challenge import RATE_HZ, TinyChallenge

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/add_a_separator.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "docs/example_package"


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return found


def test_the_page_shows_the_separator_and_the_entry_points():
    assert block("python") == (EXAMPLE / "cmss_example/registers.py").read_text(encoding="utf-8")
    assert len(block("python").splitlines()) <= 35
    shown = tomllib.loads(block("toml"))["project"]["entry-points"]
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert shown == project["entry-points"]
    record = (EXAMPLE / "cmss_example/gains.py").read_text(encoding="utf-8").split("RECORD = ")[1]
    indented = "".join(f"    {line}\n" for line in f"RECORD = {record}".splitlines())
    assert indented in PAGE


@pytest.fixture
def registers(monkeypatch) -> type:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    from cmss_example.registers import Registers

    yield Registers
    for name in [name for name in sys.modules if name.startswith("cmss_example")]:
        del sys.modules[name]


def test_its_stems_sum_to_the_mixture(registers, tmp_path):
    track = load_pairs(TinyChallenge(tmp_path).paths())[0].scene.track
    separator = registers(RATE_HZ, octaves=0.5)
    mixture = read_excerpt(track.mixture, RATE_HZ)
    separator.prepare(track.sources.values())
    stems = separator.separate(mixture, track.sources)
    assert stems.keys() == track.sources.keys()
    # float32
    np.testing.assert_allclose(sum(stems.values()), mixture, atol=1e-6)
