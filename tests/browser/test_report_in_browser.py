"""The page of a run in Chromium: `make test-browser`.

REPORT=FILE opens the page of any run instead of a small one.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from cmss.audio import resample, write_flac
from cmss.files.row_file import write_rows
from cmss.report.page import write_report
from cmss.results.rows import COMPONENTS, ComponentRow, ScoreRow
from cmss.run.configuration import build_hearing_aid, chosen_pairs
from cmss.run.folder import save_configuration
from cmss.run.scoring import Scorer
from tests.support.accessibility import violations
from tests.support.offline_context import OFFLINE, is_silent, rendered
from tests.support.played_set import SHORT_PIECES, configuration, write_played_set

pytestmark = pytest.mark.browser

SCREENS = {"wide": (1280, 900), "narrow": (375, 700)}


def write_run(root: Path) -> Path:
    """A report on four pairs of two pieces of 2 s, with invented scores."""
    write_played_set(root / "data", SHORT_PIECES, 2, 3)
    config = configuration(root / "data", f"path.exp_folder={root / 'exp'}")
    save_configuration(config)
    pairs, scorer = chosen_pairs(config), Scorer(build_hearing_aid(config))
    rng = np.random.default_rng(1)
    scores, components = [], []
    for number, pair in enumerate(pairs):
        reference = resample(scorer.reference(pair.scene), 44100, 32000)
        noise = 0.001 * rng.standard_normal(reference.shape)
        write_flac(root / "exp" / pair.enhanced_file, reference + noise, 32000)
        scores.append(ScoreRow.of(pair, 0.9 - 0.2 * (number % 3), 0.8))
        names = (pair.scene.id, pair.scene.track.name, pair.listener.id)
        components.append(ComponentRow(*names, *[0.5] * (2 * len(COMPONENTS)), clipped_samples=0))
    write_rows(root / "exp/scores.csv", ScoreRow, scores)
    write_rows(root / "exp/components.csv", ComponentRow, components)
    return write_report(root / "exp", pairs, scorer)


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    if page := os.environ.get("REPORT"):
        return Path(page).resolve()
    return write_run(tmp_path_factory.mktemp("browser"))


@pytest.fixture(params=SCREENS)
def page(browser, report, request):
    width, height = SCREENS[request.param]
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(8000)
    said: list[str] = []

    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", lambda asked: said.append(f"{asked.url}: {asked.failure}"))
    requested: list[str] = []
    page.on("request", lambda asked: requested.append(asked.url))
    page.goto(report.as_uri())
    yield page
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder, f"{request.param}.png"), full_page=True)
    page.close()
    assert said == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in requested)


def column(page, head: str) -> list[str]:
    """Return the texts of a column of the table of all pairs, in visible rows."""
    index = page.locator("#pairs-table thead th").all_inner_texts().index(head)
    return page.eval_on_selector_all(
        "#pairs-table tbody tr:not([hidden])",
        f"rows => rows.map(row => row.cells[{index}].textContent.trim())",
    )


def test_sorting(page):
    scores = column(page, "average")
    button = page.locator("#pairs-table").get_by_role("button", name="average")
    button.click()
    assert column(page, "average") == sorted(scores)
    # By keyboard, in the reverse order.
    button.press("Enter")
    assert column(page, "average") == sorted(scores, reverse=True)
    assert button.locator("..").get_attribute("aria-sort") == "descending"


def test_filtering(page):
    pairs, songs = column(page, "pair"), column(page, "song")
    wanted = f"{songs[-1]} {pairs[-1]}"
    page.get_by_role("searchbox").fill(wanted.upper())
    assert column(page, "pair") == [pairs[-1]]
    assert page.locator("#pairs output").inner_text() == f"1 of {len(pairs)} pairs"
    page.get_by_role("searchbox").fill(songs[-1])
    assert column(page, "song") == [song for song in songs if songs[-1] in song]
    page.get_by_role("searchbox").fill("")
    kinds = column(page, "ensemble")
    page.locator("select").select_option(kinds[0])
    assert column(page, "ensemble") == [kind for kind in kinds if kind == kinds[0]]
    page.locator("select").select_option("")
    assert column(page, "pair") == pairs


def test_switching_leaves_no_silence(browser, report):
    page = browser.new_page()
    page.add_init_script(OFFLINE)
    page.goto(report.as_uri())
    article = page.locator("article").first
    article.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('.player').player.playing")
    check = """(name) => () => document.querySelector(
        `article .versions input[value=${name}]`).click()"""
    unswitched_until = int(0.5 * 48000)
    signal = rendered(page, f"[[0.5, ({check})('reference')], [1, ({check})('mixture')]]")
    page.close()
    assert signal.shape == (2, 2 * 48000)
    # The pieces last 2 s; the first note begins later, and the last one ends earlier.
    middle = signal[:, unswitched_until - 4800 : int(1.4 * 48000)]
    assert np.abs(middle).max() > 0.01
    assert not is_silent(middle)


def test_playing_and_pausing(page):
    first, second = (page.locator("article").nth(number) for number in (0, 1))
    playing = "[...document.querySelectorAll('.player')].map((each) => each.player.playing)"
    first.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('.player').player.position > 4800")
    # One player at a time.
    second.get_by_role("button", name="Play").click()
    page.wait_for_function(f"{playing}[1]")
    assert not page.evaluate(playing)[0]
    second.get_by_role("button", name="Pause").press("Enter")
    page.wait_for_function(f"!{playing}[1]")
    box = first.locator("canvas").bounding_box()
    first.locator("canvas").click(position={"x": box["width"] / 4, "y": 9})
    position = page.evaluate("document.querySelector('.player').player.position")
    assert position == pytest.approx(0.5 * 48000, rel=0.05)


def test_the_blind_test_counts_guesses(page):
    article = page.locator("article").first
    article.get_by_role("button", name="Blind test").click()
    assert article.get_by_role("radio").count() == 0
    article.get_by_role("button", name="Hear B").click()
    right = 0
    for guesses in range(1, 5):
        article.get_by_role("button", name="A is enhanced").click()
        text = article.locator(".score").inner_text()
        right += text.startswith("Right")
        assert f"{right} of {guesses} guess" in text
    article.get_by_role("button", name="Blind test").click()
    assert article.get_by_role("radio", name="enhanced").is_visible()


def test_pictures_are_enlarged(page):
    page.locator("article").first.locator(".zoom").first.press("Enter")
    assert page.get_by_role("dialog").get_by_role("img").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()


def test_wide_tables_say_that_they_scroll(page):
    for region in page.locator(".scroll").all():
        wide = region.evaluate("each => each.scrollWidth > each.clientWidth")
        assert region.locator("xpath=preceding-sibling::p[1]").is_visible() == wide
    narrow = page.viewport_size["width"] < 400
    assert page.locator(".scroll-hint:not([hidden])").count() > 0 or not narrow


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility(page, scheme):
    page.emulate_media(color_scheme=scheme)
    assert violations(page) == []
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder, f"report_{page.viewport_size['width']}_{scheme}.png"))


def test_nothing_is_wider_than_the_screen(page):
    page.evaluate("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
    page.wait_for_function("[...document.images].every(image => image.complete)")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
