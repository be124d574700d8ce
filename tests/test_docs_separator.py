"""docs/add_a_separator.md, carried out."""

import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import yaml

from cmss import separators
from cmss.audio import read_excerpt
from cmss.hearing.hearing_aid import HearingAid
from cmss.pipeline import System
from cmss.remix import ConsistentRemix
from cmss.scenes import load_pairs
from cmss.separators.preparing import load_networks
from tests.support.enhanced import enhance
from tests.support.tiny_challenge import RATE_HZ, TinyChallenge

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/add_a_separator.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return found


@pytest.fixture
def registers(monkeypatch) -> type:
    names: dict = {"__name__": "registers"}
    exec(compile(block("python"), "add_a_separator.md", "exec"), names)
    monkeypatch.setitem(separators.SEPARATORS, "registers", names["Registers"])
    return names["Registers"]


def test_thirty_lines():
    assert len(block("python").splitlines()) <= 35


def test_it_separates_and_enhances(registers, tmp_path):  # noqa: ARG001
    pairs = load_pairs(TinyChallenge(tmp_path).paths())
    separator = separators.build_separator({"name": "registers", "octaves": 0.5}, RATE_HZ)
    aid = HearingAid((353.55, 707.11, 1414.21, 2828.43, 5656.85), 11, 80, -30, RATE_HZ)
    track = pairs[0].scene.track
    mixture = read_excerpt(track.mixture, RATE_HZ)
    stems = separator.separate(mixture, track.sources)
    assert stems.keys() == track.sources.keys()
    # float32
    np.testing.assert_allclose(sum(stems.values()), mixture, atol=1e-6)
    load_networks(separator, pairs)
    enhanced = list(enhance(System(separator, ConsistentRemix(), aid), pairs))
    assert len(enhanced) == len(pairs)
    assert all(np.isfinite(ears).all() for _, ears in enhanced)


def test_its_file_has_the_fields_of_the_class(registers):
    conf = yaml.safe_load(block("yaml"))
    base = yaml.safe_load((ROOT / "cmss/conf/separator/base.yaml").read_text())
    own = conf.keys() - {"defaults", "name"}
    # Steps follow any separator.
    assert own | base.keys() - {"steps"} == {f.name for f in fields(registers) if f.init} - {
        "sample_rate_hz"
    }
