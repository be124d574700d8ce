"""One file in, one file out."""

import json

import numpy as np
import pytest
import soundfile
from PIL import Image
from played_set import configuration

from cmss import listen
from cmss.audio import inspect, loudness_lufs
from cmss.configuration import build_hearing_aid, plain
from cmss.errors import InputError
from cmss.listen import CHALLENGE_HEARING_AID, SAMPLE_RATE_HZ, SEPARATOR, main
from cmss.scenes import Listener
from cmss.separators import spectra

ME = {
    "audiogram_cfs": [250, 500, 1000, 2000, 4000, 8000],
    "audiogram_levels_l": [20, 20, 30, 45, 60, 70],
    "audiogram_levels_r": [25, 20, 35, 45, 65, 70],
}


class EqualShares:
    """Gives each player the same part of the mixture, and notes how long that was."""

    def __init__(self) -> None:
        self.sample_rate_hz = SAMPLE_RATE_HZ
        self.weights: dict[str, str] = {}
        self.samples: list[int] = []

    def prepare(self, sources):
        pass

    def separate(self, mixture, sources):
        self.samples.append(mixture.shape[-1])
        return {key: mixture / np.float32(len(sources)) for key in sources}


@pytest.fixture
def me(tmp_path) -> str:
    (tmp_path / "me.json").write_text(json.dumps(ME))
    return str(tmp_path / "me.json")


def recording(path, rate_hz: int = 48000, channels: int = 2, seconds: float = 1.0, **kind) -> str:
    rng = np.random.default_rng(1)
    signal = 0.1 * rng.standard_normal((int(seconds * rate_hz), channels))
    soundfile.write(path, signal, rate_hz, **kind)
    return str(path)


def call(mixture: str, audiogram: str, out, *more: str, gains=("6", "-3")) -> int:
    return main([mixture, "--instruments", "Violin", "cello", "--gains", *gains,
        "--audiogram", audiogram, "-o", str(out), *more])  # fmt: skip


@pytest.mark.parametrize(
    ("name", "rate_hz", "channels", "kind"),
    [
        ("a.wav", 48000, 2, {}),
        ("a.wav", 44100, 1, {"subtype": "FLOAT"}),
        ("a.flac", 22050, 2, {"subtype": "PCM_24"}),
    ],
)
def test_any_recording(tmp_path, me, capsys, name, rate_hz, channels, kind):
    mixture = recording(tmp_path / name, rate_hz, channels, **kind)
    assert call(mixture, me, tmp_path / "out.flac") == 0
    header = inspect(tmp_path / "out.flac")
    assert (header.format, header.channels, header.sample_rate_hz) == ("FLAC", 2, SAMPLE_RATE_HZ)
    assert header.samples == pytest.approx(SAMPLE_RATE_HZ, abs=1)
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.format == "PNG"
    assert "samples clipped" in capsys.readouterr().out


def test_the_mixture_is_at_the_level_of_the_hearing_aid(tmp_path):
    mixture = listen.read_mixture(tmp_path / recording(tmp_path / "a.wav"))
    assert loudness_lufs(mixture, SAMPLE_RATE_HZ) == pytest.approx(-40, abs=0.01)


def test_system_is_the_default_of_the_stages(tmp_path):
    config = configuration(tmp_path)
    separator = plain(config.separator)
    assert {key: separator[key] for key in SEPARATOR} == SEPARATOR
    assert build_hearing_aid(config) == CHALLENGE_HEARING_AID
    assert config.remix == {"name": "consistent", "trust": 1.0}


def test_a_long_recording_is_cut_without_a_seam(monkeypatch):
    monkeypatch.setattr(spectra, "BLOCK_S", 0.5)
    monkeypatch.setattr(spectra, "CROSS_FADE_S", 0.1)
    mixture = np.random.default_rng(1).standard_normal((2, 100_001)).astype(np.float32)
    scene = listen.make_scene(listen.Path("a.wav"), ["Flute", "Oboe"], [0, 0])
    separator = EqualShares()
    stems = listen.separate(separator, mixture, scene.track)
    assert max(separator.samples) == SAMPLE_RATE_HZ // 2
    for stem in stems.values():
        # float32, and the windows' sum divided by itself.
        np.testing.assert_allclose(stem, mixture / 2, atol=1e-6)


def test_an_instrument_named_twice_has_two_players():
    scene = listen.make_scene(listen.Path("a.wav"), ["violin", "Cello", "VIOLIN"], [1, 2, 3])
    players = [(source.instrument, source.voice) for source in scene.track.sources.values()]
    assert players == [("Violin", 1), ("Cello", None), ("Violin", 2)]
    assert list(scene.gains_db.values()) == [1, 2, 3]


def test_gains_reach_the_listener(me):
    listener: Listener = listen.make_listener(listen.Path(me))
    mixture = 0.005 * np.random.default_rng(1).standard_normal((2, 20_000)).astype(np.float32)

    def ears(*gains):
        scene = listen.make_scene(listen.Path("a.wav"), ["Flute", "Oboe"], gains)
        return listen.listen(mixture, scene, listener, EqualShares())

    # Equal gains are no change, by the level factor; the estimates sum to the mixture, in float32.
    np.testing.assert_allclose(ears(6, 6), ears(0, 0), atol=1e-6)
    assert not np.allclose(ears(6, -6), ears(0, 0), atol=1e-3)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "malformed JSON"),
        ("{}", "audiogram_cfs: key missing"),
        (json.dumps(ME | {"audiogram_levels_l": [1]}), "1 values, expected 6"),
        (json.dumps(ME | {"audiogram_cfs": ["low"] * 6}), "audiogram_cfs"),
        (json.dumps({"L1": ME, "L2": ME}), "expected a listener of this file (L1, L2), got None"),
    ],
)
def test_a_broken_audiogram_is_told(tmp_path, capsys, text, told):
    (tmp_path / "me.json").write_text(text)
    mixture = recording(tmp_path / "a.wav")
    assert call(mixture, str(tmp_path / "me.json"), tmp_path / "out.flac") == 2
    error = capsys.readouterr().err
    assert told in error
    assert "me.json" in error
    assert not (tmp_path / "out.flac").exists()


def test_one_of_several_listeners(tmp_path):
    (tmp_path / "all.json").write_text(json.dumps({"L1": ME, "L2": ME | {"name": "L2"}}))
    listener = listen.make_listener(tmp_path / "all.json", "L2")
    assert (listener.id, listener.right.audiogram.levels_db[-1]) == ("L2", 70)


def test_what_else_cannot_be_used_is_told_in_a_line(tmp_path, me, capsys):
    mixture, out = recording(tmp_path / "a.wav"), tmp_path / "out.flac"
    soundfile.write(tmp_path / "silent.wav", np.zeros((44100, 2)), 44100)
    soundfile.write(tmp_path / "nan.wav", np.full((44100, 2), np.nan), 44100, subtype="FLOAT")
    (tmp_path / "text.wav").write_text("not a sound")
    refused = {
        (mixture, "out.wav"): "-o",
        (mixture, "a.wav"): "-o",
        (str(tmp_path / "silent.wav"), "out.flac"): "silent",
        (str(tmp_path / "nan.wav"), "out.flac"): "NaN",
        (str(tmp_path / "text.wav"), "out.flac"): "not a readable sound file",
        (str(tmp_path / "none.wav"), "out.flac"): "no such audio file",
        (recording(tmp_path / "short.wav", seconds=0.3), "out.flac"): "expected at least 0.4 s",
        (recording(tmp_path / "five.wav", channels=5), "out.flac"): "5 channels",
    }
    for (sound, name), told in refused.items():
        assert call(sound, me, tmp_path / name) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert told in line
    assert call(mixture, me, out, gains=("nan",)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["--gains", "--gains"]
    assert not out.exists()
    assert call("none.wav", "none.json", out, gains=("1",)) == 2
    told = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in told] == ["none.json", "--gains", "none.wav"]
    with pytest.raises(InputError, match="'Harp', expected some of Bassoon"):
        listen.make_scene(out, ["Harp"], [0])
