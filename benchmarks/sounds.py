"""Makes synthetic sounds and listeners for benchmarks.

All sounds are made from fixed seeds and have the level of the challenge's mixtures.
"""

import numpy as np

from cmss.hearing.hearing_aid import HearingAid
from cmss.hearing.prescription import compression_from_audiogram
from cmss.scenes import Audiogram, Compression, Ear

RATE_HZ = 44100


def _ear(*levels_db: float) -> Ear:
    """Return an ear with hearing thresholds at eight frequencies and a fitted compressor."""
    frequencies_hz = (250.0, 500.0, 1000.0, 2000.0, 3000.0, 4000.0, 6000.0, 8000.0)
    return Ear(
        Audiogram(frequencies_hz, levels_db),
        Compression(*compression_from_audiogram(frequencies_hz, levels_db)),
    )


EARS = {
    "none": _ear(*(0.0,) * 8),
    "mild": _ear(10.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 35.0),
    "moderate": _ear(20.0, 25.0, 30.0, 40.0, 45.0, 50.0, 55.0, 60.0),
    "sloping": _ear(5.0, 5.0, 10.0, 45.0, 65.0, 75.0, 80.0, 85.0),
    "severe": _ear(65.0, 65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0),
}
"""Dict from the name of a hearing loss to an ear with this loss."""
HEARING_AID = HearingAid(
    crossover_frequencies=(353.55, 707.11, 1414.21, 2828.43, 5656.85),
    attack=(11, 11, 14, 13, 11, 11),
    release=(80, 80, 80, 80, 100, 100),
    threshold=-30.0,
    sample_rate_hz=RATE_HZ,
)


def stem(seconds: float, seed: int) -> np.ndarray:
    """Synthesise a channel of an instrument that plays notes with vibrato and breath noise.

    Returns:
        The waveform (samples,).
    """
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    signal = 0.003 * rng.standard_normal(len(time_s))
    for start_s in np.arange(0, seconds, rng.uniform(0.2, 0.6)):
        note = slice(round(start_s * RATE_HZ), round((start_s + 1.5) * RATE_HZ))
        age_s = time_s[note] - start_s
        pitch_hz = rng.uniform(150, 900)
        phase = 2 * np.pi * pitch_hz * age_s + 0.3 * np.sin(2 * np.pi * 5.5 * age_s)
        shape = np.exp(-rng.uniform(1, 4) * age_s) * np.minimum(age_s / 0.02, 1)
        signal[note] += shape * sum(np.sin(k * phase) / k for k in range(1, 16))
    # With this level, the sum of two instruments is close to -40 LUFS.
    return 0.007 * signal / np.sqrt(np.mean(signal**2))


def separated(signal: np.ndarray, seed: int) -> np.ndarray:
    """Apply a mask with random errors, which are similar to the errors of a separator."""
    rng = np.random.default_rng(seed)
    padded = np.pad(signal, (1024, 1024))
    frames = np.lib.stride_tricks.sliding_window_view(padded, 1024)[::512]
    spectrum = np.fft.rfft(frames * np.hanning(1024))
    spectrum *= np.clip(1 + 0.5 * rng.standard_normal(spectrum.shape), 0, 1.5)
    output = np.zeros(len(padded))
    for n, frame in enumerate(np.fft.irfft(spectrum)):
        output[512 * n : 512 * n + 1024] += frame
    return output[1024 : 1024 + len(signal)]
