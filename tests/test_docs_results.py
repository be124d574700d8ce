"""The figures in models.json are those of the tables in the documentation."""

import re
from pathlib import Path

import pytest

from cmss.separators.listing import listing, stored

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


def cells(text: str) -> list[list[str]]:
    """The first table of a text, without its head: a list of cells for each row."""
    table = text[text.index("| system |") :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def figure(text: str) -> float | None:
    """The number in a cell; None if it is empty."""
    if not text:
        return None
    return 999.0 if text.startswith(">") else float(text.replace(",", ""))


NAMES = (
    "left", "right", "average", "gap_closed", "sdr_db", "sir_db", "sar_db", "s_per_minute",
    "parameters",
)  # fmt: skip


@pytest.mark.parametrize("test_set", ["rendered", "soundfont", "demo"])
def test_every_table_has_the_recorded_figures(test_set):
    marked = PAGE.split(f"<!-- benchmarks.systems {test_set}: begin -->")[1]
    recorded = stored()["measured"][test_set]
    rows = [row for row in cells(marked) if row[4]]  # others are untrained
    assert len(rows) == sum(map(len, recorded.values()))
    for system, remix, *numbers, _ in rows:
        found = recorded[system][remix or "consistent"]
        assert [found[name] for name in NAMES] == [*map(figure, numbers)], (system, remix)


def test_the_readme_has_the_recorded_figures():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    text = " ".join(readme.split())
    recorded = stored()["measured"]
    for name, _, *numbers in cells(readme):
        system = "meta" if name == "ensemble" else name
        found = recorded["demo"][system]["consistent"]
        assert [figure(number) for number in numbers[:4]] == [found[key] for key in NAMES[:4]]
    percent = [
        round(100 * recorded[key]["meta"]["consistent"]["gap_closed"])
        for key in ("rendered", "soundfont")
    ]
    sentence = re.search(r"closes (\d+) % .*? recorded notes .*?(\d+) % on SoundFont", text)
    assert sentence
    assert [*map(int, sentence.groups())] == percent


@pytest.mark.parametrize(
    "page",
    [
        "cmss/api/separating.py",
        "cmss/listen/command.py",
        "docs/look_and_listen.md",
        "docs/python.md",
    ],
)
def test_the_qualities_have_the_recorded_figures(page):
    """Each page gives the gap closed and the SDR of "best", and then those of "fast"."""
    text = (ROOT / page).read_text(encoding="utf-8").replace("%%", "%")
    text = re.sub(r'[\s"]+', " ", text)  # a string may continue in the next line
    given = re.findall(r"(0\.\d\d|\d+ %)\D+?([\d.]+) dB", text)
    recorded = stored()["measured"]["rendered"]
    expected = [recorded[system]["consistent"] for system in ("meta", "multichannel_unet")]
    in_percent = [float(gap[:-2]) if gap.endswith("%") else 100 * float(gap) for gap, _ in given]
    assert in_percent == [round(100 * row["gap_closed"]) for row in expected]
    assert [float(decibels) for _, decibels in given] == [row["sdr_db"] for row in expected]


def test_what_is_listed_has_the_figures_of_its_system():
    found = {properties.name: properties for properties in listing()}
    assert next(iter(found)) == "ensemble"
    measured = stored()["measured"]["rendered"]
    for name, system in (("ensemble", "meta"), ("roformer", "roformer"), ("oracle", "oracle")):
        row = measured[system]["consistent"]
        assert found[name].gap_closed["rendered"] == row["gap_closed"]
        assert found[name].sdr_db["rendered"] == row["sdr_db"]
        assert found[name].parameters == row["parameters"]
    assert found["convtasnet"].causal_sizes == ["causal"]
    assert found["module"].parameters is None
    assert found["demucs"].sizes.keys() == {"small", "paper", "v1"}
