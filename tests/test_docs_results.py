"""The summary of docs/results.md has the numbers of the tables below it."""

from pathlib import Path

PAGE = (Path(__file__).parents[1] / "docs" / "results.md").read_text(encoding="utf-8")
SETS = ("rendered", "soundfont", "demo")


def cells(text: str) -> list[list[str]]:
    """The first table of a text, without its head: a list of cells for each row."""
    table = text[text.index("| system |") :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def scores(name: str) -> dict[str, str]:
    """System -> gap closed (HAAQI) on a test set, consistent remix."""
    marked = PAGE.split(f"<!-- benchmarks.systems {name}: begin -->")[1]
    rows = [row for row in cells(marked) if row[1] != "official" and row[4]]
    return {system: f"{gap} ({haaqi})" for system, _, _, _, haaqi, gap, *_ in rows}


def test_summary_has_the_scores_of_the_tables():
    summary = {system.split()[0]: row for system, *row in cells(PAGE)}
    found = {name: scores(name) for name in SETS}
    assert summary.keys() == set().union(*found.values())
    for system, row in summary.items():
        assert row == [found[name].get(system, "") for name in SETS]
