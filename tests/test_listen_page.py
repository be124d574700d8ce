"""`python -m cmss.listen --page` and --gains FILE.json: files and messages, without a browser."""

import base64
import json
import re

import numpy as np
import pytest
import soundfile

from cmss.listen import listening, main

RATE_HZ = 44100
SIX = "20,20,30,45,60,70"


class Channels:
    """Separator that gives the first player the left channel, the second the right."""

    sample_rate_hz = RATE_HZ

    def __init__(self) -> None:
        self.weights: dict[str, str] = {}

    def prepare(self, sources):
        pass

    def separate(self, mixture, sources):
        return {key: mixture * one for key, one in zip(sources, np.eye(2)[..., None], strict=True)}


@pytest.fixture(autouse=True)
def channels(monkeypatch):
    monkeypatch.setattr(listening, "build_separator", lambda *_: Channels())
    monkeypatch.setattr(listening, "png", lambda _: b"a picture")


@pytest.fixture
def unseparated(monkeypatch):
    def separate(*_):
        pytest.fail("separated before all was checked")

    monkeypatch.setattr(Channels, "separate", separate)


def recording(path, seconds: float = 1.0, rate_hz: int = RATE_HZ):
    signal = 0.1 * np.random.default_rng(1).standard_normal((int(seconds * rate_hz), 2))
    soundfile.write(path, signal, rate_hz)
    return path


def listen(*words) -> int:
    mixture, *options = map(str, words)
    return main([mixture, "--instruments", "Violin", "cello", "--audiogram", SIX, *options])


def page_data(text: str) -> dict:
    (data,) = re.findall(r'<script type="application/json" id="page">(.*?)</script>', text)
    return json.loads(data)


def test_the_page_contains_lossless_stems(tmp_path):
    mixture = recording(tmp_path / "duet <b>.wav")
    assert listen(mixture, "--gains", "6", "-inf", "--page", tmp_path / "page") == 0
    assert [path.name for path in (tmp_path / "page").iterdir()] == ["index.html"]
    text = (tmp_path / "page/index.html").read_text(encoding="utf-8")
    assert "duet <b>" not in text
    page = page_data(text)
    assert [player["gain_db"] for player in page["players"]] == [6, None]
    assert [player["name"] for player in page["players"]] == ["Violin", "Cello"]
    found = re.findall(r'class="sound" id="sound-\d">([^<]*)</script>', text)
    (tmp_path / "a.flac").write_bytes(base64.b64decode(found[0]))
    assert soundfile.info(tmp_path / "a.flac").subtype == "PCM_24"
    signals = []
    for track in found:
        (tmp_path / "a.flac").write_bytes(base64.b64decode(track))
        signals.append(soundfile.read(tmp_path / "a.flac")[0].T / page["scale"])
    # Steps of 24 bits; the separator splits the mixture into its channels.
    np.testing.assert_allclose(signals[0], signals[1] + signals[2], atol=3 / page["scale"] / 2**23)
    recorded = soundfile.read(mixture)[0].T
    level = np.linalg.norm(signals[0]) / np.linalg.norm(recorded)
    np.testing.assert_allclose(signals[0], level * recorded, atol=1e-6)
    assert "http:" not in text
    assert "https:" not in text


def test_other_files_of_the_folder_are_kept_and_o_writes_its_files_too(tmp_path):
    (tmp_path / "page").mkdir()
    (tmp_path / "page/letter.txt").write_text("mine")
    options = ("--gains", "1", "2", "--page", tmp_path / "page", "-o", tmp_path / "out.flac")
    assert listen(recording(tmp_path / "a.wav"), *options) == 0
    assert (tmp_path / "page/letter.txt").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {
        "a.wav", "page", "out.flac", "out_before.flac", "out.png"}  # fmt: skip


@pytest.mark.usefixtures("unseparated")
def test_pages_that_cannot_be_written_are_refused_before_the_separation(tmp_path, capsys):
    mixture = recording(tmp_path / "a.wav")
    long = recording(tmp_path / "long.wav", 301, 8000)
    (tmp_path / "file").write_text("")
    (tmp_path / "index.html").symlink_to(mixture)
    refused = {
        (long, "--page", tmp_path / "page"): f"{long}: lasts 301 s, expected at most 300 s",
        (mixture, "--page", tmp_path / "file"): "is a file, expected a folder",
        (mixture, "--page", tmp_path): "would replace the input",
        (tmp_path, "--page", tmp_path / "page"): "--page: expected a single recording, got 2",
        (
            mixture,
            "--page",
            tmp_path / "p",
            "--separator",
            "passthrough",
        ): "does not estimate stems",
    }
    for words, expected in refused.items():
        assert listen(*words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert expected in line
    assert not (tmp_path / "page").exists()


@pytest.mark.usefixtures("unseparated")
def test_without_a_page_gains_and_output_are_required(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        listen(recording(tmp_path / "a.wav"), "--gains", "1", "2")
    assert end.value.code == 2
    assert "without --page, these options are required: -o" in capsys.readouterr().err


def test_a_file_of_gains_gives_the_same_bytes_as_numbers(tmp_path):
    mixture = recording(tmp_path / "a.wav")
    content = {"instruments": ["Violin", "Cello"], "gains_db": [4.5, "-inf"]}
    (tmp_path / "mine.json").write_text(json.dumps(content))
    assert listen(mixture, "--gains", "4.5", "-inf", "-o", tmp_path / "a.flac") == 0
    assert listen(mixture, "--gains", tmp_path / "mine.json", "-o", tmp_path / "b.flac") == 0
    assert (tmp_path / "a.flac").read_bytes() == (tmp_path / "b.flac").read_bytes()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "malformed JSON"),
        ("[1, 2]", "instruments: expected a list"),
        ('{"instruments": ["Violin", "Cello"]}', "gains_db: expected a list"),
        (
            '{"instruments": ["Cello", "Violin"], "gains_db": [1, 2]}',
            "expected the same list as --instruments (Violin, cello), got Cello, Violin",
        ),
        ('{"instruments": ["Violin", "Cello"], "gains_db": [1, "x"]}', 'in dB or "-inf", got'),
        ('{"instruments": ["Violin", "Cello"], "gains_db": [1, true]}', 'in dB or "-inf", got'),
        ('{"instruments": ["Violin", "Cello"], "gains_db": [1]}', "expected 2, one per"),
        ('{"instruments": ["Violin", "Cello"], "gains_db": [1, NaN]}', "got nan"),
        (None, "no such file"),
    ],
)
@pytest.mark.usefixtures("unseparated")
def test_files_of_gains_that_cannot_be_used(tmp_path, capsys, content, expected):
    if content is not None:
        (tmp_path / "g.json").write_text(content)
    out = tmp_path / "out.flac"
    assert listen(recording(tmp_path / "a.wav"), "--gains", tmp_path / "g.json", "-o", out) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("--gains") or "g.json" in line
    assert expected in line
    assert not out.exists()
