"""The benchmarks of separation and of the full pipeline, with small networks."""

import re

from benchmarks import default, pipeline, separation
from benchmarks.quartet import quartet
from cmss.run.configuration import default_separator
from tests.support.played_set import SHORT_PIECES, write_played_set
from tests.support.published_networks import TINY


def test_separation_compares_the_same_network(capsys, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    separation.main(["--seconds", "1", "--bfloat16"], TINY)
    printed = capsys.readouterr().out
    single, half = re.findall(r"^b?float\S+, 1 s +\S+ +\S+ +\S+ +(\S+)$", printed, re.MULTILINE)
    assert float(single) < 1e-5
    # Estimates as loud as the mixture: two parts in 256 are heard, and nothing else.
    assert 1e-4 < float(half) < 0.1


def test_the_chain_gives_the_official_scores(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    write_played_set(tmp_path / "data", SHORT_PIECES, listeners_per_scene=2, listeners=3)
    options = [str(tmp_path / "data"), "--split", "valid", "--jobs", "1"]
    pipeline.main([*options, "--sample", "1"], TINY)
    *_, what, ratios, scores = capsys.readouterr().out.splitlines()
    assert what.endswith("4 pairs of 2 tracks; the official time is that of 1 pairs times 4")
    wall, cpu = re.findall(r"[\d.]+", ratios)
    assert min(float(wall), float(cpu)) > 0
    difference = re.fullmatch(r"largest difference of a score (\S+), of 1 pairs", scores)
    # One 16-bit step of the enhanced files, see tests/parity.
    assert float(difference[1]) < 1e-4


def test_every_part_of_the_default_separator_is_measured():
    separator, parts = default.default("float32"), {}
    default.measure_parts(separator, parts, counting=False)
    members = [member["name"] for member in default_separator()["members"]]
    steps = [step["name"] for step in default_separator()["steps"]]
    assert [*parts][: len(members)] == members
    assert len(parts) == len(members) + len(steps)
    mixture, sources = quartet(1.0, 2)
    separator.prepare(sources.values())
    separator.separate(mixture, sources)
    # Each part has processed the second of music.
    assert all(part.cpu_s > 0 for part in parts.values())
