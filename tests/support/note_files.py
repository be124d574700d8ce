"""Sound files of notes with known pitch."""

import numpy as np
import soundfile

RATE_HZ = 48000  # of the files; the notes have 44.1 kHz
TONE_S = 1.2


def tone(midi, cents=0.0, seconds=TONE_S, rate_hz=RATE_HZ, vibrato_cents=0.0):
    """A tone with ten harmonics and a weak fundamental, like low notes of a bassoon or violin."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    deviation = cents + vibrato_cents * np.sin(2 * np.pi * 5.5 * time_s)
    hz = 440 * 2 ** ((midi - 69 + deviation / 100) / 12)
    phase = 2 * np.pi * np.cumsum(hz) / rate_hz
    weights = [0.2, *(1 / k for k in range(2, 11))]
    return 0.1 * sum(w * np.sin(k * phase) for k, w in enumerate(weights, 1))


def write(folder, files):
    """Write files to `samples`, with 0.5 s of silence before and after; return the options."""
    for name, samples in files.items():
        path = folder / "samples" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        padded = np.pad(samples, round(0.5 * RATE_HZ))
        soundfile.write(path, np.stack((padded, 0.5 * padded), axis=1), RATE_HZ)
    return ["--samples", str(folder / "samples"), "--out", str(folder / "notes")]
