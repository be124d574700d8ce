"""Figures of signals: content, and memory that does not depend on the length."""

import tracemalloc

import numpy as np
import pytest
from matplotlib.figure import Figure

from cmss.report.panels import before_and_after, spectrogram, time_and_frequency
from cmss.scenes import Audiogram, Compression, Ear, Listener

RATE_HZ = 8000
EAR = Ear(
    Audiogram((250.0, 4000.0), (20.0, 40.0)),
    Compression((250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0), (1.0,) * 6, (3.0,) * 6),
)
LISTENER = Listener("L0001", EAR, EAR)


def noise(minutes: float) -> np.ndarray:
    second = np.random.default_rng(1).uniform(-0.1, 0.1, (2, RATE_HZ)).astype(np.float32)
    return np.tile(second, round(60 * minutes))


def levels_db(signal: np.ndarray, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Return the spectrogram of a signal, (rows, columns)."""
    axes = Figure().subplots()
    spectrogram(axes, signal, rate_hz)
    (image,) = axes.get_images()
    return np.asarray(image.get_array())


@pytest.mark.parametrize(
    "draw",
    [
        lambda signal: before_and_after(signal, signal, RATE_HZ, LISTENER),
        lambda signal: time_and_frequency(signal, RATE_HZ),
    ],
    ids=["before_and_after", "time_and_frequency"],
)
def test_a_picture_of_twenty_minutes_takes_the_memory_of_one_of_a_minute(draw):
    draw(noise(0.1))  # Memory that matplotlib never frees, such as fonts.
    peaks = []
    for minutes in (1, 20):
        signal = noise(minutes)
        tracemalloc.start()
        figure = draw(signal)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        # Drawing of pixels, later, takes the same memory for every signal.
        for axes in figure.axes[:4]:
            drawn = [image.get_array().shape[1] for image in axes.get_images()]
            drawn += [len(area.get_paths()[0].vertices) for area in axes.collections]
            assert all(columns <= 2 * 480 + 3 for columns in drawn)
    # A block of 64 windows is 3 MB with its spectra, and a column of one minute has fewer; a
    # copy of the signal of twenty minutes would be 77 MB, in double precision twice that.
    assert peaks[1] - peaks[0] < 4e6


def test_a_column_shows_all_of_its_time():
    """A click anywhere in a long signal is visible in its column."""
    signal = np.zeros((2, 60 * RATE_HZ))
    columns = 480
    for place in (0.1003, 0.5, 0.77777):
        signal[:] = 0
        signal[:, int(place * signal.shape[1])] = 1
        levels = levels_db(signal).max(0)
        seen = np.flatnonzero(levels > -60)
        assert levels[int(place * columns)] > -3.1  # In one column, or half in each of two columns.
        assert abs(seen - place * columns).max() < 2


@pytest.mark.parametrize("samples", [1, 7, 500, 3000, 100_001])
def test_a_tone_is_at_its_frequency_whatever_the_length(samples):
    tone = np.sin(2 * np.pi * 1000 * np.arange(samples) / RATE_HZ)
    levels = levels_db(np.stack([tone, tone]))
    assert levels.shape[1] == min(480, samples)
    assert np.isfinite(levels).all()
    if samples > 2048:
        hertz = np.geomspace(60, 16000, len(levels))
        middle = levels[:, levels.shape[1] // 2]
        # Rows are 3.6 % apart, bins 3.9 Hz.
        assert hertz[middle.argmax()] == pytest.approx(1000, rel=0.02)


def test_blocks_make_no_difference(monkeypatch):
    signal = noise(1)[:, : 30 * RATE_HZ + 123]
    signal[1] *= np.linspace(0, 1, signal.shape[1])
    whole = levels_db(signal)
    monkeypatch.setattr("cmss.report.panels._BLOCK", 1)
    np.testing.assert_allclose(levels_db(signal), whole, atol=1e-6)
