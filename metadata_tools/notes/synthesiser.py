"""Synthesises single notes of the eight instruments.

A note has a harmonic spectrum, which is shaped by the slope of the source spectrum and by formants.
In the attack of a note, high partials start later than low partials. Each partial fluctuates slowly
and independently. Bow or breath noise is added. The sampler plays synthesised and recorded notes in
the same way. The formants are rounded values from Meyer, Acoustics and the Performance of Music.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import signal

from cmss.rendering.notation import RANGES
from cmss.rendering.notes import Bank, recording
from metadata_tools.challenge.writer import SAMPLE_RATE_HZ
from metadata_tools.notes.bank import SUSTAIN_DBFS

_CONTROL_HZ = 100  # rate at which random envelopes are drawn before interpolation


@dataclass(frozen=True)
class Timbre:
    """Defines the timbre of an instrument.

    Args:
        slope_db: slope of the source spectrum in dB per octave above the fundamental.
        formants: resonances, each given by frequency in Hz, level in dB and width in octaves.
        even_db: level in dB of the even partials relative to the odd partials. The even partials
            are weak in instruments with a closed pipe, such as the clarinet.
        attack_s: duration of the attack of the fundamental; the attack of the highest partial is
            twice as long.
        noise_db: level of the bow or breath noise relative to the tone.
        noise_hz: centre frequency of the bow or breath noise.
        flutter: relative amount by which the level of each partial fluctuates.
    """

    slope_db: float
    formants: tuple[tuple[float, float, float], ...]
    attack_s: float
    noise_db: float
    noise_hz: float
    flutter: float = 0.08
    even_db: float = 0.0


TIMBRES: dict[str, Timbre] = {
    "Bassoon": Timbre(-7, ((480, 15, 0.7), (1150, 8, 0.6), (2000, 4, 0.6)), 0.04, -42, 900),
    "Cello": Timbre(-5, ((250, 7, 0.6), (600, 5, 0.7), (2200, 4, 0.8)), 0.09, -36, 2000, 0.15),
    "Clarinet": Timbre(-8, ((1500, 5, 0.8), (3700, 5, 0.6)), 0.05, -44, 2500, 0.05, -18),
    "Flute": Timbre(-12, ((800, 6, 1.2),), 0.07, -32, 1800, 0.1),
    "Oboe": Timbre(-4, ((1100, 13, 0.6), (2900, 9, 0.5)), 0.03, -44, 3000, 0.05),
    "Sax": Timbre(-5, ((750, 9, 0.7), (1700, 7, 0.7), (3200, 4, 0.7)), 0.04, -38, 1500),
    "Viola": Timbre(-5, ((220, 5, 0.5), (600, 6, 0.6), (1600, 5, 0.7)), 0.08, -36, 2500, 0.15),
    "Violin": Timbre(-5, ((400, 5, 0.6), (1000, 4, 0.6), (3000, 7, 0.7)), 0.07, -36, 3500, 0.15),
}


def vary(timbre: Timbre, variety: float, rng: np.random.Generator) -> Timbre:
    """Return the timbre of another instrument of the same type, e.g. of another violin.

    Resonances and brightness are changed at random.

    Args:
        timbre: usual timbre of the instrument.
        variety: amount of change, from 0 to 1. If `variety` is 1, two random timbres differ as much
            as the timbres of a cheap student instrument and of an excellent concert instrument.
        rng: random generator for the changes.
    """
    draw = rng.normal(0, variety, (4 + len(timbre.formants), 3)).clip(-2 * variety, 2 * variety)
    formants = tuple(
        (hz * 2 ** (0.15 * moved), gain_db + 3 * raised, octaves * 2 ** (0.3 * wider))
        for (hz, gain_db, octaves), (moved, raised, wider) in zip(
            timbre.formants, draw[4:], strict=True
        )
    )
    return replace(
        timbre,
        slope_db=timbre.slope_db + 1.2 * draw[0, 0],
        formants=formants,
        even_db=timbre.even_db + 3 * draw[0, 1],
        attack_s=timbre.attack_s * 2 ** (0.5 * draw[1, 0]),
        flutter=timbre.flutter * 2 ** (0.5 * draw[1, 1]),
        noise_db=timbre.noise_db + 5 * draw[2, 0],
        noise_hz=timbre.noise_hz * 2 ** (0.4 * draw[2, 1]),
    )


def tone(timbre: Timbre, midi: float, rng: np.random.Generator, seconds: float = 2.0) -> np.ndarray:
    """Synthesise a sustained note at -20 dBFS.

    Args:
        timbre: timbre of the instrument.
        midi: pitch as a MIDI number, which may have a fraction.
        rng: random generator for fluctuation and noise.
        seconds: duration of the note, including the attack and a short release.

    Returns:
        The waveform (samples,) in float32 at 44.1 kHz.
    """
    samples = round(seconds * SAMPLE_RATE_HZ)
    frequency_hz = 440.0 * 2 ** ((midi - 69) / 12)
    partials = max(1, min(64, int(14000 / frequency_hz)))
    # The pitch of a player drifts by a cent or two.
    drift = 2 ** (_slow_noise(rng, samples, 3.0, 1.5) / 1200)
    phase = 2 * np.pi * np.cumsum(frequency_hz * drift) / SAMPLE_RATE_HZ
    sound = np.zeros(samples)
    # Since sin((k + 1) x) = 2 cos(x) sin(k x) - sin((k - 1) x), only one sine is computed.
    previous, current, twice_cosine = np.zeros(samples), np.sin(phase), 2 * np.cos(phase)
    for number, level_db in enumerate(spectrum_db(timbre, frequency_hz, partials), 1):
        onset_s = timbre.attack_s * (1 + (number - 1) / partials)
        envelope = _rise(samples, onset_s) * (1 + timbre.flutter * _slow_noise(rng, samples, 6.0))
        sound += 10 ** (level_db / 20) * envelope * current
        previous, current = current, twice_cosine * current - previous
    sound *= _release(samples)
    steady = sound[samples // 4 : samples * 3 // 4]
    sound *= 10 ** (SUSTAIN_DBFS / 20) / np.sqrt(np.mean(steady**2))
    return (sound + _noise(timbre, samples, rng)).astype(np.float32)


def spectrum_db(timbre: Timbre, frequency_hz: float, partials: int) -> np.ndarray:
    """Return the levels of the partials in dB."""
    number = np.arange(1, partials + 1)
    at_hz = number * frequency_hz
    levels = timbre.slope_db * np.log2(number)
    for centre_hz, gain_db, octaves in timbre.formants:
        levels = levels + gain_db * np.exp(-0.5 * (np.log2(at_hz / centre_hz) / octaves) ** 2)
    # Only the lowest even partials are weak in a closed pipe.
    return levels + np.where(number % 2 == 0, timbre.even_db * np.exp(-number / 8), 0.0)


def _slow_noise(
    rng: np.random.Generator, samples: int, cutoff_hz: float, scale: float = 1.0
) -> np.ndarray:
    """Return a smooth random fluctuation (samples,) whose standard deviation is about `scale`."""
    points = samples * _CONTROL_HZ // SAMPLE_RATE_HZ + 3
    pole = np.exp(-2 * np.pi * cutoff_hz / _CONTROL_HZ)
    settled = 50  # number of points after which the initial state of the filter has no effect
    drawn = rng.standard_normal(points + settled) * np.sqrt(1 - pole**2)
    smooth = signal.lfilter([1], [1, -pole], drawn)[settled:]
    index = np.arange(samples) * (_CONTROL_HZ / SAMPLE_RATE_HZ)
    return scale * np.interp(index, np.arange(points), smooth)


def _rise(samples: int, seconds: float) -> np.ndarray:
    """Return an envelope (samples,) that rises from zero to one within `seconds`."""
    rising = min(samples, round(seconds * SAMPLE_RATE_HZ))
    ramp = np.ones(samples)
    ramp[:rising] = np.sin(0.5 * np.pi * np.arange(rising) / rising) ** 2
    return ramp


def _release(samples: int, seconds: float = 0.06) -> np.ndarray:
    return _rise(samples, seconds)[::-1]


def _noise(timbre: Timbre, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return band-passed bow or breath noise (samples,), which is louder at the start of a note."""
    band = np.array([timbre.noise_hz / 2, timbre.noise_hz * 2])
    sections = signal.butter(2, band, "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    noise = signal.sosfilt(sections, rng.standard_normal(samples))
    level = 10 ** ((SUSTAIN_DBFS + timbre.noise_db) / 20) / np.sqrt(np.mean(noise**2))
    time = np.arange(samples) / SAMPLE_RATE_HZ
    swell = _rise(samples, timbre.attack_s / 2) * (1 + 2 * np.exp(-time / 0.05))
    return noise * level * swell * _release(samples)


def _pitches(instrument: str, spacing: int) -> Iterator[int]:
    low, high = RANGES[instrument]
    yield from range(low + (high - low) % spacing // 2, high + 1, spacing)


def make_bank(
    instruments: Sequence[str],
    seed: int,
    spacing_semitones: int = 6,
    variety: float = 0.0,
) -> Bank:
    """Synthesise notes of the instruments over their pitch ranges.

    Args:
        instruments: names of the instruments.
        seed: seed of fluctuation, noise and changes of timbre.
        spacing_semitones: distance between notes in semitones. If `spacing_semitones` is 6, the
            sampler shifts no note by more than three semitones.
        variety: amount by which each timbre is changed, from 0 to 1 (:func:`vary`).
    """
    bank: Bank = {}
    for instrument in sorted(instruments):
        index = sorted(TIMBRES).index(instrument)
        specimen = vary(TIMBRES[instrument], variety, np.random.default_rng([seed, index]))
        notes = []
        for midi in _pitches(instrument, spacing_semitones):
            # Each pitch has a different seed, so that a note does not depend on the other notes of
            # the bank.
            samples = tone(specimen, midi, np.random.default_rng([seed, index, midi]))
            notes.append(recording(f"{instrument}/{midi:03d}", midi, 0.0, "f", samples))
        bank[instrument] = tuple(notes)
    return bank
