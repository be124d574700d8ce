"""Pitch of a steady tone, for tests."""

import numpy as np

SAMPLE_RATE_HZ = 44100


def pitch_midi(signal: np.ndarray, near_midi: float) -> float:
    """Measure the pitch, within half a semitone, by the phase advance between two windows.

    The first harmonic is isolated by a Gaussian band around the nearest FFT peak.
    """
    length = 1 << 15
    assert len(signal) > length + 400
    near_hz = 440 * 2 ** ((near_midi - 69) / 12)
    frequencies = np.fft.rfftfreq(length, 1 / SAMPLE_RATE_HZ)
    window = np.hanning(length)
    first = np.fft.rfft(signal[:length] * window)
    close = np.abs(frequencies - near_hz) < near_hz * 0.03
    peak = int(np.flatnonzero(close)[np.argmax(np.abs(first[close]))])
    hop = int(SAMPLE_RATE_HZ / frequencies[peak] / 4)  # a quarter of a period: no ambiguity
    second = np.fft.rfft(signal[hop : hop + length] * window)
    advance = np.angle(second[peak] / first[peak])
    hertz = advance / hop * SAMPLE_RATE_HZ / (2 * np.pi)
    return float(69 + 12 * np.log2(hertz / 440))
