"""Draws waveforms, spectrograms and audiograms, and combines them in figures.

As in audiology, the left ear is blue with crosses, and the right ear is red with circles.
"""

import io
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from cmss.machine.memory import release
from cmss.scenes import Listener

LEFT = "#0060b0"
RIGHT = "#c02020"
EARS = (("left", LEFT, "x"), ("right", RIGHT, "o"))

LOWEST_HZ, HIGHEST_HZ = 60.0, 16000.0
"""Frequency range of a spectrogram. The lowest note of a cello is at 65 Hz. Enhanced signals have a
sampling rate of 32 kHz, and therefore no frequencies above 16 kHz."""

_COLUMNS, _ROWS = 480, 160
_WINDOW = 2048
_BLOCK = 64
"""Number of windows that are transformed at once."""
_RANGE_DB = 70
_OCTAVES_HZ = (125, 250, 500, 1000, 2000, 4000, 8000)
_COLOURS = 128


def png(figure: Figure) -> bytes:
    """Render a figure as a PNG with a palette, because full colours would make the file larger."""
    full, reduced = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png")
    with Image.open(full) as image:
        palette = image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    palette.save(reduced, format="png", optimize=True)
    return reduced.getvalue()


def waveform(axes: Axes, signal: NDArray, sample_rate_hz: int) -> None:
    """Draw the waveforms of both channels, with the left channel in front.

    For each column of the picture, the area between the minimum and the maximum of the signal is
    filled.

    Args:
        axes: axes on which the waveforms are drawn.
        signal: signal (2, samples); 1 is full scale.
        sample_rate_hz: sampling rate of the signal.
    """
    columns = _columns(signal.shape[-1])
    times_s = [column.start / sample_rate_hz for column in columns]
    extremes = []
    for column in columns:
        extremes.append((signal[:, column].min(axis=1), signal[:, column].max(axis=1)))
        release(signal)
    lows, highs = np.transpose(extremes, (1, 2, 0))  # (2, columns) each
    for low, high, (name, colour, _) in reversed(list(zip(lows, highs, EARS, strict=True))):
        axes.fill_between(times_s, low, high, color=colour, alpha=0.6, lw=0.3, label=name)
    axes.set(xlim=(0, signal.shape[-1] / sample_rate_hz), ylabel="amplitude")


def spectrogram(axes: Axes, signal: NDArray, sample_rate_hz: int) -> None:
    """Draw the level of a signal over time and frequency; the powers of all channels are added.

    Args:
        axes: axes on which the spectrogram is drawn.
        signal: signal (channels, samples).
        sample_rate_hz: sampling rate of the signal.
    """
    power = _power(signal, sample_rate_hz)
    level_db = 10 * np.log10(np.maximum(power / max(power.max(), 1e-30), 1e-12))
    seconds = signal.shape[-1] / sample_rate_hz
    axes.imshow(
        level_db,
        cmap="magma",
        vmin=-_RANGE_DB,
        vmax=0,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(0, seconds, np.log2(LOWEST_HZ), np.log2(HIGHEST_HZ)),
    )
    axes.set(ylabel="frequency (Hz)", yticks=np.log2(_OCTAVES_HZ), yticklabels=_OCTAVES_HZ)


def _power(signal: NDArray, sample_rate_hz: int) -> NDArray[np.float64]:
    """Compute the power of a signal at logarithmically spaced frequencies.

    A column of the picture is the mean power of all windows whose centres are in the time range of
    this column. The windows overlap by half. The windows are transformed in blocks, so that memory
    does not depend on the length of the signal.

    Args:
        signal: signal (channels, samples).
        sample_rate_hz: sampling rate of the signal.

    Returns:
        The power, an array of shape (frequencies, columns).
    """
    hertz = np.geomspace(LOWEST_HZ, HIGHEST_HZ, _ROWS)
    bins = np.fft.rfftfreq(_WINDOW, 1 / sample_rate_hz)
    columns = []
    for column in _columns(signal.shape[-1]):
        centres = np.arange(column.start, column.stop, _WINDOW // 2)
        power = sum(
            _summed_power(signal, centres[first : first + _BLOCK])
            for first in range(0, len(centres), _BLOCK)
        )
        columns.append(np.interp(hertz, bins, power / len(centres), right=0.0))
        release(signal)
    return np.stack(columns, axis=1)


def _summed_power(signal: NDArray, centres: NDArray[np.intp]) -> NDArray[np.float64]:
    """Sum the power spectra of a signal over channels and windows.

    Args:
        signal: signal (channels, samples). Where a window extends beyond an end of the signal, the
            signal is padded with zeros.
        centres: sample at the centre of each window; the windows overlap by half.

    Returns:
        Power (bins,).
    """
    first, stop = centres[0] - _WINDOW // 2, centres[-1] + _WINDOW // 2
    before, after = max(0, -first), max(0, stop - signal.shape[-1])
    part = np.asarray(signal[:, max(0, first) : stop], np.float64)
    padded = np.pad(part, ((0, 0), (before, after)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW, axis=-1)
    spectra = np.fft.rfft(windows[:, :: _WINDOW // 2] * np.hanning(_WINDOW))
    power: NDArray[np.float64] = np.sum(np.abs(spectra) ** 2, axis=(0, 1))
    return power


def _columns(samples: int) -> list[slice]:
    """Return, for each column of a picture, the range of samples that the column shows."""
    edges = np.linspace(0, samples, min(_COLUMNS, samples) + 1).astype(int).tolist()
    return [slice(start, stop) for start, stop in pairwise(edges)]


def audiogram(axes: Axes, listener: Listener) -> None:
    """Draw the hearing thresholds of both ears; the axis of the thresholds points downwards."""
    for ear, (name, colour, marker) in zip((listener.left, listener.right), EARS, strict=True):
        _over_frequency(axes, ear.audiogram.frequencies_hz, ear.audiogram.levels_db)
        axes.lines[-1].set(label=name, color=colour, marker=marker)
    axes.set(ylabel="threshold (dB HL)", ylim=(125, -15))
    axes.legend(frameon=False)


def applied_gain(axes: Axes, listener: Listener) -> None:
    """Draw the gain of the compressor in each band for sounds below the compressor's threshold."""
    for ear, (name, colour, marker) in zip((listener.left, listener.right), EARS, strict=True):
        _over_frequency(axes, ear.compression.frequencies_hz, ear.compression.gains_db)
        axes.lines[-1].set(label=name, color=colour, marker=marker)
    axes.set(ylabel="gain below threshold (dB)")
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))


def _over_frequency(axes: Axes, frequencies_hz: tuple, values: tuple) -> None:
    axes.plot(frequencies_hz, values, markerfacecolor="none")
    axes.set_xscale("log", base=2)
    axes.set(xlabel="frequency (Hz)", xticks=_OCTAVES_HZ[1:])
    axes.set_xticklabels([f"{hertz // 1000}k" if hertz >= 1000 else str(hertz)
        for hertz in _OCTAVES_HZ[1:]])  # fmt: skip
    axes.minorticks_off()
    axes.grid(alpha=0.3)


def time_and_frequency(signal: NDArray, sample_rate_hz: int) -> Figure:
    """Draw waveform and spectrogram of a signal (2, samples)."""
    figure = Figure(figsize=(4.4, 4.4), dpi=90, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.6))
    waveform(above, signal, sample_rate_hz)
    spectrogram(below, signal, sample_rate_hz)
    below.set_xlabel("time (s)")
    return figure


def hearing(listener: Listener) -> Figure:
    """Draw the audiograms of a listener and the gains of the listener's compressors."""
    figure = Figure(figsize=(4.4, 4.4), dpi=90, layout="constrained")
    above, below = figure.subplots(2, 1)
    audiogram(above, listener)
    applied_gain(below, listener)
    return figure


def before_and_after(
    before: NDArray, after: NDArray, sample_rate_hz: int, listener: Listener
) -> Figure:
    """Draw the mixture, the enhanced signal, and the hearing of the listener.

    Args:
        before: mixture (2, samples); 1 is full scale.
        after: enhanced signal (2, samples).
        sample_rate_hz: sampling rate of both signals.
        listener: listener with audiograms and compressors.
    """
    figure = Figure(figsize=(11, 6.5), dpi=100, layout="constrained")
    panels = figure.subplots(2, 3, width_ratios=(2, 2, 1.3))
    panels[0, 1].sharey(panels[0, 0])
    for column, (name, signal) in enumerate((("before", before), ("after", after))):
        waveform(panels[0, column], signal, sample_rate_hz)
        panels[0, column].set_title(name)
        spectrogram(panels[1, column], signal, sample_rate_hz)
        panels[1, column].set_xlabel("time (s)")
    panels[0, 0].legend(loc="upper right", frameon=False)
    audiogram(panels[0, 2], listener)
    applied_gain(panels[1, 2], listener)
    panels[0, 2].set_title("hearing, hearing aid")
    return figure
