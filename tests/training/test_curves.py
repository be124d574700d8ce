"""A training can be watched: in TensorBoard, or as a picture."""

import math
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cmss.training.curves import EVENTS, PICTURE, Picture, curves_in, spectrogram
from tests.support.stopped_training import Stopped, stop_after
from tests.support.tone_training import SETTINGS, log, run
from tests.support.tones import RATE_HZ


@pytest.fixture
def no_tensorboard(monkeypatch):
    """Make the import of TensorBoard fail."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)


def events(folder) -> EventAccumulator:
    return EventAccumulator(str(folder / EVENTS), {"scalars": 0, "images": 0, "audio": 0}).Reload()


def test_tensorboard_has_the_numbers_of_the_log_and_the_sounds(tmp_path):
    run(tmp_path, haaqi=lambda _: 0.5, settings=replace(SETTINGS, haaqi_every=2))
    board, rows = events(tmp_path), log(tmp_path)
    assert [event.step for event in board.Scalars("loss/training")] == list(range(1, 13))
    for tag, column in (
        ("loss/validation", "validation_loss"),
        ("SDR improvement/mean", "sdr_improvement_db"),
        ("HAAQI", "haaqi"),
    ):
        logged = {int(row["step"]): float(row[column]) for row in rows if row[column]}
        # The log has five digits, and TensorBoard single precision.
        assert {e.step: e.value for e in board.Scalars(tag)} == pytest.approx(logged, abs=1e-5)
    rates = [event.value for event in board.Scalars("learning rate")]
    # Linear warm-up over three steps, times a cosine that is still at its start.
    assert rates[:3] == pytest.approx([1e-3, 2e-3, 3e-3], rel=0.1)
    assert rates[-1] < 0.1 * max(rates)
    tags = board.Tags()
    players = {"Violin", "Violin_2", "Cello", "Oboe", "Bassoon"}
    improved = {tag.split("/")[1] for tag in tags["scalars"] if tag.startswith("SDR")}
    assert players <= improved
    for kind in ("audio", "images"):
        assert {"example 1/mixture", "example 2/mixture"} <= set(tags[kind])
        assert len({tag for tag in tags[kind] if not tag.endswith("mixture")}) >= 4
    assert not (tmp_path / PICTURE).exists()


def test_the_steps_after_the_saved_state_are_shown_once(tmp_path):
    settings = replace(SETTINGS, save_every_s=1e9)
    with pytest.raises(Stopped):
        run(tmp_path, settings=settings, progress=stop_after(7))
    # TensorBoard sorts its files by their names, which contain the time in seconds.
    time.sleep(1.1)
    run(tmp_path, settings=settings)
    steps = [event.step for event in events(tmp_path).Scalars("loss/training")]
    assert steps == list(range(1, 13))


@pytest.mark.usefixtures("no_tensorboard")
def test_a_picture_without_tensorboard(tmp_path):
    run(tmp_path)
    with Image.open(tmp_path / PICTURE) as picture:
        without_haaqi = picture.size
    run(tmp_path / "scored", haaqi=lambda _: 0.5, settings=replace(SETTINGS, haaqi_every=1))
    with Image.open(tmp_path / "scored" / PICTURE) as picture:
        pixels = np.asarray(picture.convert("L"))
        # A panel more, and something drawn on it.
        assert picture.size[1] == without_haaqi[1] * 4 // 3
    assert (pixels < 128).any()
    assert not (tmp_path / EVENTS).exists()


@pytest.mark.usefixtures("no_tensorboard")
def test_without_tensorboard_nothing_is_played(tmp_path):
    curves = curves_in(tmp_path, 0, lambda _: 0.1)
    assert isinstance(curves, Picture)
    assert not curves.has_sounds


@pytest.mark.parametrize("frequency_hz", [250.0, 700.0])
def test_a_tone_is_a_line_in_the_spectrogram(frequency_hz):
    time_s = torch.arange(2 * RATE_HZ) / RATE_HZ
    image = spectrogram(torch.sin(2 * math.pi * frequency_hz * time_s).expand(2, -1))
    bins = len(image) - 1
    row = bins - round(2048 * frequency_hz / RATE_HZ)
    middle = image[:, image.shape[1] // 2]
    assert int(middle.argmax()) == row
    assert image.max() == 1
    # The side lobes of a Hann window 50 bins away are below -80 dB.
    assert middle[row - 50] == middle[row + 50] == 0


def test_silence_has_an_empty_spectrogram():
    assert spectrogram(torch.zeros(2, RATE_HZ)).eq(0).all()
