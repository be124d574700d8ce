"""The page of `python -m cmss.listen --page` in Chromium, opened from disk.

The sounds are synthetic. With SCREENSHOTS=FOLDER, pictures of the page are written in this folder.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cmss.audio import loudness_lufs
from cmss.listen import listening, main
from cmss.listen.processing import SAMPLE_RATE_HZ, amplified, read_mixture, remixed
from cmss.listen.scene import make_listener, make_scene
from tests.support.accessibility import violations
from tests.support.offline_context import OFFLINE, is_silent, rendered

pytestmark = pytest.mark.browser

PLAYERS = ["Violin", "Cello", "Flute"]
SCREENS = {"wide": (1280, 900), "narrow": (375, 700)}
ME = {
    "audiogram_cfs": [250, 500, 1000, 2000, 4000, 8000],
    "audiogram_levels_l": [20, 20, 30, 45, 60, 70],
    "audiogram_levels_r": [25, 20, 35, 45, 65, 70],
}


def played(hertz: float, notes_per_s: float, seconds: float, left: float) -> np.ndarray:
    """Decaying notes (2, samples) with eight harmonics, panned by `left` from 0 to 1."""
    times = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tone = sum(np.sin(2 * np.pi * hertz * n * times) / n for n in range(1, 9))
    envelope = 0.05 + np.exp(-4 * ((times * notes_per_s) % 1))
    return 0.1 * tone * envelope * np.array([[left], [1 - left]])


STEMS = {PLAYERS[n]: played(*args) for n, args in enumerate(
    [(440.0, 2, 4, 0.7), (110.0, 1, 4, 0.3), (1320.0, 3, 4, 0.5)])}  # fmt: skip


class Known:
    """Separator that returns nine tenths of the true stems, so that there is a residual, too."""

    sample_rate_hz = SAMPLE_RATE_HZ

    def __init__(self):
        self.weights = {}

    def prepare(self, sources):
        pass

    def separate(self, mixture, sources):
        level = np.abs(mixture).max() / np.abs(sum(STEMS.values())).max()
        return {key: (0.9 * level * STEMS[key]).astype(np.float32) for key in sources}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with mixture.wav, me.json and the page of the recording."""
    root = tmp_path_factory.mktemp("mix")
    soundfile.write(root / "mixture.wav", sum(STEMS.values()).T, SAMPLE_RATE_HZ, "FLOAT")
    (root / "me.json").write_text(json.dumps(ME))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listening, "build_separator", lambda *_: Known())
        assert listen(root, "--page", root / "page") == 0
    return root


def listen(root: Path, *options) -> int:
    return main([str(root / "mixture.wav"), "--instruments", *PLAYERS,
        "--audiogram", str(root / "me.json"), *map(str, options)])  # fmt: skip


@pytest.fixture
def open_page(browser, folder):
    """A function that opens the page and waits until it is ready; no error may be printed."""
    pages, said = [], []

    def opened(size=(1280, 900), script="", **options):
        page = browser.new_page(viewport={"width": size[0], "height": size[1]}, **options)
        pages.append(page)
        page.set_default_timeout(8000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        if script:
            page.add_init_script(script)
        requested = []
        page.on("request", lambda asked: requested.append(asked.url))
        page.goto((folder / "page/index.html").as_uri())
        page.wait_for_function("player.samples > 0")
        assert all(url.startswith(("file:", "data:", "blob:")) for url in requested)
        return page

    yield opened
    for page in pages:
        page.close()
    assert said == []


def exported(page, folder: Path) -> np.ndarray:
    """Click on the export of the sound, and return it as (2, samples)."""
    with page.expect_download() as waiting:
        page.get_by_role("button", name="What is heard").click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    signal, rate_hz = soundfile.read(path)
    assert rate_hz == SAMPLE_RATE_HZ
    assert soundfile.info(path).subtype == "FLOAT"
    return signal.T


def set_gain(page, name: str, gain_db: float) -> None:
    slider = page.get_by_role("slider", name=f"{name}, gain")
    slider.evaluate(
        "(slider, gain) => { slider.value = gain; slider.dispatchEvent(new Event('input')); }",
        gain_db,
    )


def difference_db(signal: np.ndarray, expected: np.ndarray) -> float:
    return 10 * np.log10(np.mean((signal - expected) ** 2) / np.mean(expected**2))


GAINS = ([6, -3, 0.5], [-20, -20, -20], [12, -np.inf, -24])


@pytest.mark.parametrize("gains", GAINS, ids=str)
@pytest.mark.parametrize("aid", [True, False], ids=["aided", "unaided"])
def test_the_export_equals_that_of_python(open_page, folder, gains, aid):
    page = open_page()
    for name, gain in zip(PLAYERS, gains, strict=True):
        if gain == -np.inf:
            page.get_by_role("button", name=f"Mute {name}").click()
        else:
            set_gain(page, name, gain)
    if not aid:
        page.get_by_role("button", name="Hearing aid").click()
    signal = exported(page, folder)
    mixture, _ = read_mixture(folder / "mixture.wav")
    scene = make_scene(folder / "mixture.wav", PLAYERS, gains)
    stems = Known().separate(mixture, scene.track.sources)
    listener = make_listener(str(folder / "me.json"))
    ears = amplified(mixture, stems, scene, listener)
    remix = np.concatenate(list(remixed(mixture, stems, scene)), axis=-1)
    remix *= 10 ** (min(0, -37 - loudness_lufs(remix, SAMPLE_RATE_HZ)) / 20)
    # The page writes all signals at the same loudness: -23 LUFS, or less for peaks of -2 dB.
    each = [(signal, loudness_lufs(signal, SAMPLE_RATE_HZ)) for signal in (ears, remix, mixture)]
    level = min(-23, *(lufs - 2 - 20 * np.log10(np.abs(one).max()) for one, lufs in each))
    chosen, lufs = each[0 if aid else 1]
    assert signal.shape == chosen.shape
    assert difference_db(signal, chosen * 10 ** ((level - lufs) / 20)) < -60


def test_the_original_is_exported_as_recorded(open_page, folder):
    page = open_page()
    page.get_by_role("button", name="Original", exact=True).click()
    signal = exported(page, folder)
    mixture, _ = read_mixture(folder / "mixture.wav")
    factor = np.sum(signal * mixture) / np.sum(mixture**2)
    assert difference_db(signal, factor * mixture) < -100
    assert np.abs(signal).max() <= 10 ** (-2 / 20) + 1e-6


def play(page, actions: str) -> np.ndarray:
    """Play the page, and return its output (2, samples) with actions at given times."""
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("player.playing")
    return rendered(page, actions)


def test_a_slider_changes_the_samples_within_50_ms(open_page):
    slide = """() => {
        const slider = document.querySelector('[aria-label^="Violin, gain"]');
        slider.value = 9;
        slider.dispatchEvent(new Event("input", { bubbles: true }));
    }"""
    unchanged = play(open_page(script=OFFLINE), "[[1, () => {}]]")
    changed = play(open_page(script=OFFLINE), f"[[1, {slide}]]")
    assert np.abs(unchanged).max() > 0.01
    (different,) = np.nonzero(np.abs(changed - unchanged).max(axis=0) > 1e-4)
    assert 1 <= different[0] / SAMPLE_RATE_HZ < 1.05


@pytest.mark.parametrize("name", ["Original", "Hearing aid", "Solo Violin", "Violin +6 dB"])
def test_a_switch_leaves_no_silence(open_page, name):
    page = open_page(script=OFFLINE)
    click = f"""() => [...document.querySelectorAll("button")].find(
        (each) => [each.ariaLabel, each.textContent].includes("{name}")).click()"""
    signal = play(page, f"[[0.9, {click}], [1, {click}], [1.1, () => player.seek(3)]]")
    # The longest period of a player is 9 ms, so 10 ms without silence have power. The gains change
    # within 10 ms. At 0 and after 2 s, playback begins and ends.
    window = SAMPLE_RATE_HZ // 100
    power = np.lib.stride_tricks.sliding_window_view(signal[:, 1000:] ** 2, window, axis=-1)[
        :, ::50
    ].mean(axis=-1)
    assert power.min() > 1e-3 * np.median(power)
    assert not is_silent(signal[:, 1000:])


def test_a_loop_repeats_its_samples(open_page):
    page = open_page(script=OFFLINE)
    page.evaluate("player.select(22050, 44100)")
    page.get_by_role("button", name="Hearing aid").click()
    signal = play(page, "[]")
    # The loop of half a second begins at once. Its first 10 ms are a cross-fade from its end.
    first, second = signal[:, 22550:44000], signal[:, 44600:66050]
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_the_limiter_and_the_soft_start(open_page):
    page = open_page(script=OFFLINE)
    assert page.get_by_role("slider", name="Volume").input_value() == "-20"
    assert "limiter" in page.locator("header").inner_text()
    soft = play(page, "[]")
    assert np.abs(soft).max() < 0.1
    page = open_page(script=OFFLINE)
    page.evaluate("player.set({ volume: 1000 })")
    loud = play(page, "[]")
    assert 0.5 < np.abs(loud).max() <= 10 ** (-1 / 20) + 1e-6


def test_with_the_keyboard_alone(open_page, folder):
    page = open_page()

    def tab_to(name: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            focused = "document.activeElement.ariaLabel ?? document.activeElement.textContent"
            if page.evaluate(focused).startswith(name):
                return
        pytest.fail(f"no way to {name} with the Tab key")

    tab_to("Play")
    page.keyboard.press("Enter")
    page.wait_for_function("player.playing && player.position > 0")
    page.keyboard.press("Enter")
    page.wait_for_function("!player.playing")
    tab_to("Violin, gain")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    tab_to("Mute Cello")
    page.keyboard.press("Space")
    tab_to("Gains (JSON)")
    with page.expect_download() as waiting:
        page.keyboard.press("Enter")
    waiting.value.save_as(folder / "gains.json")
    assert json.loads((folder / "gains.json").read_text()) == {
        "instruments": PLAYERS, "gains_db": [2, "-inf", 0]}  # fmt: skip
    # The command takes the file.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listening, "build_separator", lambda *_: Known())
        assert listen(folder, "--gains", folder / "gains.json", "--page", folder / "again") == 0
    assert '"gain_db": null' in (folder / "again/index.html").read_text(encoding="utf-8")


def test_presets_mute_and_solo(open_page):
    page = open_page()
    page.get_by_role("button", name="Cello +6 dB").click()
    page.get_by_role("button", name="Solo Flute").click()
    assert page.evaluate("effectiveGains()") == [-np.inf, -np.inf, 0]
    page.get_by_role("button", name="Mute Flute").click()
    page.get_by_role("button", name="What is heard").click()
    assert "nothing to export" in page.locator("#exported").inner_text()
    page.get_by_role("button", name="Reset").click()
    assert page.evaluate("effectiveGains()") == [0, 0, 0]


def test_a_click_on_the_waveform_seeks(open_page):
    page = open_page()
    box = page.locator("canvas").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
    assert page.evaluate("player.position") == pytest.approx(2 * SAMPLE_RATE_HZ, rel=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_accessibility_and_width(open_page, screen, scheme):
    page = open_page(SCREENS[screen], color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert violations(page) == []
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder, f"mix_{screen}_{scheme}.png"), full_page=True)
