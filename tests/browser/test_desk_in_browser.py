"""The desk in Chromium, from a recording that is dropped to the export of what is heard.

The sounds are synthetic. With SCREENSHOTS=FOLDER, pictures of the page are written in this folder.
"""

import base64
import io
import os
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cmss.api.audiograms import listener_of
from cmss.api.level import calibration
from cmss.desk import worker
from cmss.desk.orders import Order
from cmss.desk.standard_audiograms import FREQUENCIES_HZ, STANDARD_DB
from cmss.desk.tasks import Task
from cmss.listen.processing import amplified, remixed
from cmss.listen.scene import make_scene
from tests.support.accessibility import violations
from tests.support.running_desk import RATE_HZ, RunningDesk, is_alive, music, write_music

pytestmark = pytest.mark.browser

SCREENS = {"wide": (1280, 900), "narrow": (375, 700)}
SEPARATION_MS = 180_000
"""Greatest duration of the separation of two seconds on a computer that does much else."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    with RunningDesk(
        tmp_path_factory.mktemp("desk"), "--separator", "split", "--max-mb", "1"
    ) as running:
        yield running


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Path:
    return write_music(tmp_path_factory.mktemp("sound") / "duet.wav")


@pytest.fixture
def open_desk(browser):
    """A function that opens a desk; no error may be printed, and no other site may be asked."""
    contexts, said = [], []

    def opened(desk, size=(1280, 900), **options):
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
        contexts.append(context)
        context.set_default_timeout(30_000)
        requested = []
        context.on("console", lambda message: said.append(message.text))
        context.on("weberror", lambda error: said.append(str(error.error)))
        context.on("request", lambda asked: requested.append(asked.url))
        page = context.new_page()
        page.goto(desk.url)
        until(page, "Boolean(chart.levels)")
        page.requested = requested
        return page

    yield opened
    for context in contexts:
        context.close()
    # The browser prints answers that are no success, which the tests provoke.
    assert [text for text in said if "Failed to load resource" not in text] == []


def until(page, condition: str, and_also=lambda: True, timeout_s: float = 60) -> None:
    """Wait for a JavaScript condition; that of Playwright needs eval, which the pages refuse."""
    end = time.monotonic() + timeout_s
    while not (page.evaluate(condition) and and_also()):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(50)


def drop(page, name: str, content: bytes) -> None:
    """Drop a file on the page, as from the desktop."""
    transfer = page.evaluate_handle(
        """([name, text]) => {
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name));
            return transfer;
        }""",
        [name, base64.b64encode(content).decode()],
    )
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("#drop", event, {"dataTransfer": transfer})


def tick(page, *names: str) -> None:
    for name in names:
        page.get_by_role("checkbox", name=name, exact=True).check()


def levels(page, ear: str) -> list[float]:
    """The levels of an ear as the points of the chart state them."""
    names = [f"{ear} ear, {hertz:g} Hz" for hertz in FREQUENCIES_HZ]
    points = [page.get_by_role("slider", name=name) for name in names]
    return [float(point.get_attribute("aria-valuenow")) for point in points]


def problems(page) -> list[str]:
    page.get_by_role("alert").locator("p").first.wait_for()
    return page.get_by_role("alert").locator("p").all_inner_texts()


def mixing_page(page, act):
    """Open the page of the latest result by an action, and wait until it is ready."""
    page.get_by_role("link", name="Mix ").first.wait_for(timeout=SEPARATION_MS)
    with page.expect_popup() as waiting:
        act()
    mix = waiting.value
    until(mix, "player.samples > 0")
    return mix


def exported(mix, folder: Path, act) -> np.ndarray:
    """Export the sound by an action, and return it as (2, samples)."""
    with mix.expect_download() as waiting:
        act()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return soundfile.read(path)[0].T


def difference_db(signal: np.ndarray, expected: np.ndarray) -> float:
    """Power of the difference relative to the signal, after the levels have been made equal."""
    factor = np.sum(signal * expected) / np.sum(expected**2)
    return 10 * np.log10(np.mean((signal - factor * expected) ** 2) / np.mean(signal**2))


def test_from_a_dropped_file_to_the_export(desk, open_desk, recording, tmp_path):
    page = open_desk(desk)
    drop(page, "duet.wav", recording.read_bytes())
    assert page.locator("#chosen").inner_text() == "duet.wav, 0.7 MB"
    tick(page, "Violin", "Cello")
    page.get_by_label("Audiogram", exact=False).first.select_option("N3")
    page.get_by_role("button", name="Start").click()
    page.get_by_role("progressbar").wait_for()
    mix = mixing_page(page, lambda: page.get_by_role("link", name="Mix duet.wav").first.click())
    assert "listener N3" in mix.locator("header").inner_text()
    # The server allows the page to share memory with the audio thread.
    assert mix.evaluate("player.tracks[0][0].buffer instanceof SharedArrayBuffer")
    slider = mix.get_by_role("slider", name="Violin, gain")
    slider.evaluate("(slider) => { slider.value = 9; slider.dispatchEvent(new Event('input')); }")
    mix.get_by_role("button", name="Play").click()
    until(mix, "player.playing && player.position > 0")
    click = mix.get_by_role("button", name="What is heard").click
    heard = exported(mix, tmp_path, click)
    mix.get_by_role("button", name="Hearing aid").click()
    unaided = exported(mix, tmp_path, click)
    # Python computes the same from the stems that the desk offers.
    (result,) = desk.ask("GET", "/results")[1]
    base = f"/results/{result['name']}/stems"
    stems = {name: stem(page, desk, f"{base}/{name}.flac") for name in ("Cello", "Violin")}
    mixture = stem(page, desk, f"{base}/mixture.flac")
    level = np.sum(mixture * music().T) / np.sum(mixture**2)
    assert difference_db(level * mixture, music().T) < -60
    scale = calibration(mixture, "mixture")
    stems = {name: np.float32(scale * each) for name, each in stems.items()}
    scene = make_scene(recording, ["Cello", "Violin"], [0, 9])
    remix = np.concatenate([*remixed(np.float32(scale * mixture), stems, scene)], axis=-1)
    assert difference_db(unaided, remix) < -60
    listener = listener_of(STANDARD_DB["N3"])
    ears = amplified(np.float32(scale * mixture), stems, scene, listener)
    assert difference_db(heard, ears) < -60
    assert all(url.startswith((desk.url, "data:", "blob:")) for url in page.requested)


def stem(page, desk, path: str) -> np.ndarray:
    """Download a file of the result by the page, and return it as (2, samples)."""
    answer = page.request.get(f"{desk.url}{path}")
    assert answer.ok
    return soundfile.read(io.BytesIO(answer.body()))[0].T


def test_with_the_keyboard_alone(desk, open_desk, recording, tmp_path):
    page = open_desk(desk)

    def tab_to(page, name: str) -> None:
        for _ in range(80):
            page.keyboard.press("Tab")
            described = page.evaluate(
                """(() => {
                    const { activeElement: e } = document;
                    return [e.getAttribute("aria-label"), e.labels?.[0]?.textContent, e.textContent]
                        .find((text) => text?.trim())?.trim() ?? "";
                })()"""
            )
            if described.startswith(name):
                assert page.evaluate(
                    """(() => {
                        const { activeElement: e } = document;
                        const shown = e.id === "file" ? e.nextElementSibling : e;
                        const style = getComputedStyle(shown);
                        const area = shown.querySelector(".area");
                        return style.outlineStyle !== "none"
                            || getComputedStyle(area).stroke !== "none";
                    })()"""
                ), f"the focus of {name} is not visible"
                return
        pytest.fail(f"no way to {name} with the Tab key")

    # The browser is asked early to report its dialogs, because it may do so with a delay.
    dialogs = []
    page.on("filechooser", lambda dialog: dialogs.append(dialog))
    tab_to(page, "Choose a recording")
    page.keyboard.press("Enter")
    until(page, "true", lambda: dialogs)
    dialogs[0].set_files(recording)
    tab_to(page, "Cello")
    page.keyboard.press("Space")
    tab_to(page, "Violin")
    page.keyboard.press("Space")
    tab_to(page, "Number of players: Violin")
    page.keyboard.press("ArrowDown")
    assert page.locator("#count").inner_text() == "3 players"
    tab_to(page, "Left ear, 1000 Hz")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    assert levels(page, "Left") == levels(page, "Right") == [0, 0, 15, 0, 0, 0, 0, 0]
    tab_to(page, "Start")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Mix duet.wav").first.wait_for(timeout=SEPARATION_MS)
    # The result has the focus.
    until(page, "document.activeElement.textContent === 'Mix the players'")
    mix = mixing_page(page, lambda: page.keyboard.press("Enter"))
    tab_to(mix, "Violin 2, gain")
    mix.keyboard.press("ArrowRight")
    assert mix.evaluate("effectiveGains()") == [0, 0, 0.5]
    tab_to(mix, "What is heard")
    heard = exported(mix, tmp_path, lambda: mix.keyboard.press("Enter"))
    assert heard.shape == (2, 2 * RATE_HZ)
    assert np.abs(heard).max() > 0.05


def test_the_audiogram_is_drawn_typed_or_chosen(desk, open_desk):
    page = open_desk(desk)
    standard = page.locator("#standard")
    for name, expected in STANDARD_DB.items():
        standard.select_option(name)
        assert levels(page, "Left") == levels(page, "Right") == list(expected)
    # Drawn: the point follows the pointer, in steps of 5 dB.
    standard.select_option("none")
    point = page.get_by_role("slider", name="Right ear, 2000 Hz")
    box = point.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    per_db = page.evaluate("chart.y(1) - chart.y(0)")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 3, y + 20 * per_db, steps=3)
    page.mouse.move(x + 5, y + 51 * per_db, steps=3)
    page.mouse.up()
    page.mouse.move(x, y)
    assert levels(page, "Right") == levels(page, "Left") == [0, 0, 0, 50, 0, 0, 0, 0]
    assert standard.input_value() == "own"
    # The ears differ.
    page.get_by_role("checkbox", name="Both ears").uncheck()
    point.press("ArrowUp")
    point.press("PageUp")
    page.get_by_role("slider", name="Left ear, 8000 Hz").press("End")
    page.get_by_role("slider", name="Left ear, 250 Hz").press("Home")
    assert levels(page, "Right") == [0, 0, 0, 25, 0, 0, 0, 0]
    assert levels(page, "Left") == [-10, 0, 0, 50, 0, 0, 0, 120]
    # Typed.
    page.get_by_label("Right ear, 500 Hz, dB HL").fill("32.5")
    assert levels(page, "Right") == [0, 32.5, 0, 25, 0, 0, 0, 0]
    assert levels(page, "Left")[1] == 0
    page.get_by_label("Right ear, 500 Hz, dB HL").fill("300")
    assert levels(page, "Right")[1] == 32.5
    page.get_by_role("button", name="Start").click()
    assert any("Right ear, 500 Hz" in line for line in problems(page))


def test_what_is_wrong_is_said_as_text(desk, open_desk):
    page = open_desk(desk)
    page.get_by_role("button", name="Start").click()
    assert problems(page) == ["Choose a recording.", "Players: expected 2 to 5, got 0."]
    name = "<img src=x onerror=document.title=1>.wav"
    drop(page, name, b"no sound")
    tick(page, "Violin", "Cello")
    page.get_by_role("button", name="Start").click()
    until(page, "document.querySelector('#problems').textContent.includes('img')")
    (line,) = problems(page)
    assert line.startswith(f"{name}: ")
    assert str(desk.results) not in line
    assert page.locator("img").count() == 0
    assert page.title() == "Mixing desk"
    drop(page, "large.wav", bytes(1_000_001))
    page.get_by_role("button", name="Start").click()
    assert problems(page) == ["large.wav: expected at most 1 MB."]
    assert page.get_by_role("button", name="Start").is_enabled()


class Halves:
    """Separator that gives each player the same part of the mixture."""

    sample_rate_hz = RATE_HZ

    def __init__(self):
        self.weights = {}

    def prepare(self, sources):
        pass

    def separate(self, mixture, sources):
        return {key: mixture / len(sources) for key in sources}


def test_the_page_of_a_long_recording_loads_its_sounds(desk, open_desk, recording, monkeypatch):
    monkeypatch.setattr(worker, "LONGEST_S", 1.0)
    monkeypatch.setattr(worker, "build_separator", lambda *_: Halves())
    levels_db = STANDARD_DB["N2"]
    order = Order("long.wav", ".wav", ("Oboe", "Viola"), levels_db, levels_db, "fast")
    folder = desk.results / "long"
    folder.mkdir()
    task = Task(order, recording, folder, desk.root / "kept", None)
    assert worker.work(task, lambda *_: None) == []
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert 'class="sound"' not in text
    assert len(text) < 100_000
    page = open_desk(desk)
    with page.expect_popup() as waiting:
        page.get_by_role("link", name="Mix long.wav").click()
    mix = waiting.value
    until(mix, "player.samples > 0")
    assert mix.evaluate("[player.samples, player.tracks.length]") == [2 * RATE_HZ, 3]
    mix.get_by_role("button", name="Play").click()
    until(mix, "player.playing && player.position > 0")
    names = [url.rpartition("/")[2] for url in page.requested if url.endswith(".flac")]
    assert sorted(names) == ["Oboe.flac", "Viola.flac", "mixture.flac"]
    # Without its files, the page says so.
    (folder / "stems/Oboe.flac").unlink()
    mix.reload()
    until(mix, "player.status.textContent.includes('cannot be loaded')")


def test_the_user_cancels(open_desk, recording, tmp_path):
    with RunningDesk(tmp_path, "--separator", "sleeping") as desk:
        page = open_desk(desk)
        page.set_input_files("#file", recording)
        tick(page, "Violin", "Cello")
        page.get_by_role("button", name="Start").click()
        pid = desk.sleeping_pid()
        page.get_by_text("Separating ... (").wait_for()
        # The progress is shown again after the page was opened again.
        again = page.context.new_page()
        again.goto(desk.url)
        again.get_by_text("Separating ... (").wait_for()
        assert again.get_by_role("button", name="Start").is_disabled()
        assert violations(again) == []
        if folder := os.environ.get("SCREENSHOTS"):
            again.screenshot(path=Path(folder, "desk_running.png"), full_page=True)
        page.get_by_role("button", name="Cancel").click()
        assert problems(page) == ["The separation was cancelled."]
        assert not is_alive(pid)
        assert page.get_by_role("button", name="Start").is_enabled()


def test_pages_of_other_sites_cannot_call_the_desk(browser, desk):
    page = browser.new_page()
    page.route("http://other.example/", lambda route: route.fulfill(
        content_type="text/html", body="<title>other</title>"))  # fmt: skip
    page.goto("http://other.example/")
    before = desk.ask("GET", "/job")[1]
    for mode in ("cors", "no-cors"):
        for method, path in (("GET", "/results"), ("POST", "/job?order={}"), ("DELETE", "/job")):
            read = page.evaluate(
                """([url, method, mode]) => fetch(url, { method, mode })
                    .then((answer) => answer.text()).catch(() => "")""",
                [desk.url + path, method, mode],
            )
            assert read == ""
    assert desk.ask("GET", "/job")[1] == before
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_accessibility_and_width(desk, open_desk, recording, screen, scheme):
    page = open_desk(desk, SCREENS[screen], color_scheme=scheme)
    page.set_input_files("#file", recording)
    tick(page, "Violin", "Cello")
    page.locator("#standard").select_option("S2")
    page.get_by_role("checkbox", name="Both ears").uncheck()
    for name in ("Left ear, 500 Hz", "Left ear, 1000 Hz"):
        page.get_by_role("slider", name=name, exact=True).press("ArrowDown")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    # The points are large enough for a finger.
    assert page.locator(".point").first.bounding_box()["width"] >= 24
    page.evaluate("document.activeElement.blur()")
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder, f"desk_{screen}_{scheme}.png"), full_page=True)
    assert violations(page) == []
    page.evaluate("showProblems(['a.wav: no sound'])")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
