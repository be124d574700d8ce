"""Tracks in which every player has a different pitch, so a signal identifies its player."""

import numpy as np

from cmss.models.outputs import OUTPUTS
from cmss.training.stems import StemTrack

RATE_HZ = 2000
PITCH_HZ = {name: 100.0 + 60.0 * number for number, name in enumerate(OUTPUTS)}


def tone_track(name: str, players: tuple[str, ...], seconds: float = 2.0) -> StemTrack:
    """Return a track with a tone of fluctuating level for each player."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    stems = {}
    for number, player in enumerate(players):
        swell = 0.6 + 0.4 * np.sin(2 * np.pi * (1.5 + 0.7 * number) * time + number)
        tone = np.sin(2 * np.pi * PITCH_HZ[player] * time)
        channels = np.stack((tone * swell, 0.5 * tone * swell))
        stems[player] = np.rint(8000 * channels).astype(np.int16)
    return StemTrack(name, stems)


def dominant_hz(signal: np.ndarray) -> float:
    """Return the frequency with the most energy in (samples,)."""
    spectrum = np.abs(np.fft.rfft(signal * np.hanning(len(signal))))
    return float(np.fft.rfftfreq(len(signal), 1 / RATE_HZ)[spectrum.argmax()])


def nearest_player(signal: np.ndarray) -> str:
    """Return the player with the pitch closest to that of (samples,)."""
    found_hz = dominant_hz(signal)
    return min(PITCH_HZ, key=lambda name: abs(PITCH_HZ[name] - found_hz))
