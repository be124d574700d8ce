"""The page of a run in Chromium: `make test-browser`.

The browser is that of the system, for instance Debian's package chromium; the environment variable
CHROMIUM is the path of another. REPORT=FILE opens the page of any run instead of a small one.
"""

import os
import shutil
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
from tests.support.played_set import SHORT_PIECES, configuration, write_played_set

sync_api = pytest.importorskip("playwright.sync_api")

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


@pytest.fixture(scope="module")
def browser():
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert executable, "no chromium on the path; CHROMIUM=FILE names one"
    with sync_api.sync_playwright() as playwright:
        # Chromium has no sandbox for root, the user of containers.
        found = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(params=SCREENS)
def page(browser, report, request):
    width, height = SCREENS[request.param]
    page = browser.new_page(viewport={"width": width, "height": height})
    said: list[str] = []

    def failed(asked) -> None:
        # Switching stops the loading of the previous version.
        if asked.failure != "net::ERR_ABORTED":
            said.append(f"{asked.url}: {asked.failure}")

    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", failed)
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


def test_a_player_plays_and_switching_keeps_the_position(page):
    article = page.locator("article").first
    audio = article.locator("audio")
    audio.evaluate("audio => audio.play()")
    page.wait_for_function("audio => audio.currentTime > 0.4", arg=audio.element_handle())
    before = audio.evaluate("audio => audio.currentTime")
    article.get_by_role("radio", name="reference").check()
    assert audio.evaluate("audio => audio.src").endswith("_reference.flac")
    # Playback continues at the same position; otherwise it would be at 0.
    page.wait_for_function(
        f"audio => !audio.paused && audio.currentTime > {before}", arg=audio.element_handle()
    )
    audio.evaluate("audio => audio.pause()")
    stopped = audio.evaluate("audio => audio.currentTime")
    assert before < stopped < before + 1.5
    article.get_by_role("radio", name="mixture").check()
    page.wait_for_function(
        f"audio => audio.readyState > 0 && Math.abs(audio.currentTime - {stopped}) < 0.05",
        arg=audio.element_handle(),
    )
    assert audio.evaluate("audio => audio.paused")


def test_switching_twice_at_once_keeps_the_position(page):
    article = page.locator("article").last
    audio = article.locator("audio")
    audio.evaluate("audio => { audio.preload = 'auto'; audio.load(); }")
    page.wait_for_function("audio => audio.readyState > 0", arg=audio.element_handle())
    audio.evaluate("audio => { audio.currentTime = 1; }")
    article.evaluate(
        """article => ["mixture", "reference"].forEach((name, index) =>
            article.querySelectorAll("input")[index].click())"""
    )
    page.wait_for_function(
        "audio => audio.readyState > 0 && Math.abs(audio.currentTime - 1) < 0.05",
        arg=audio.element_handle(),
    )
    assert audio.evaluate("audio => audio.src").endswith("_reference.flac")


def test_one_player_at_a_time(page):
    first, second = (page.locator("audio").nth(number) for number in (0, 1))
    first.evaluate("audio => audio.play()")
    second.evaluate("audio => audio.play()")
    page.wait_for_function("audio => audio.paused", arg=first.element_handle())
    assert not second.evaluate("audio => audio.paused")
    second.evaluate("audio => audio.pause()")


def test_nothing_is_wider_than_the_screen(page):
    page.evaluate("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
    page.wait_for_function("[...document.images].every(image => image.complete)")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
