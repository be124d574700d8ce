"""Compiled loops of the ear model, over one auditory band of one signal at a time.

Each loop does the work of several of pyclarity's vector operations, so that a band's samples are
read while they are in the cache. `samples` is the signal's length at 24 kHz. Recursive filters keep
scipy.signal.lfilter's order of operations, because rounding is amplified in the lowest bands.
"""

import numpy as np
from numba import njit

from cmss.haaqi.filterbank import Array, Gammatone

TINY = 1e-30
"""Added before a logarithm or a division."""

_DB_PER_NEPER = 20.0 / np.log(10.0)


@njit(cache=True)
def demodulate(radians: float, cosine: Array, sine: Array) -> None:
    """Fill (samples,) with the cosine and the negative sine of n * radians."""
    block = 256
    head_cosine = np.cos(radians * np.arange(block))
    head_sine = -np.sin(radians * np.arange(block))
    for start in range(0, cosine.size, block):
        turn_cosine, turn_sine = np.cos(radians * start), -np.sin(radians * start)
        for n in range(min(block, cosine.size - start)):
            cosine[start + n] = turn_cosine * head_cosine[n] - turn_sine * head_sine[n]
            sine[start + n] = turn_cosine * head_sine[n] + turn_sine * head_cosine[n]


@njit(cache=True)
def control_power(
    signal: Array, cosine: Array, sine: Array, gammatone: Gammatone, power: Array
) -> float:
    """Squared envelope of the control path into `power` (samples,); its mean is returned."""
    gain, b1, b2, a1, a2, a3, a4 = gammatone
    r1 = r2 = r3 = r4 = i1 = i2 = i3 = i4 = 0.0
    square = gain * gain
    total = 0.0
    for n in range(signal.size):
        u = signal[n] * cosine[n]
        real = r1 + u
        r1 = r2 + u * b1 + real * a1
        r2 = r3 + u * b2 + real * a2
        r3 = r4 + real * a3
        r4 = real * a4
        u = signal[n] * sine[n]
        imaginary = i1 + u
        i1 = i2 + u * b1 + imaginary * a1
        i2 = i3 + u * b2 + imaginary * a2
        i3 = i4 + imaginary * a3
        i4 = imaginary * a4
        power[n] = square * (real * real + imaginary * imaginary)
        total += power[n]
    return total / signal.size


@njit(cache=True)
def compression_gain(
    power: Array, knee_db: float, ratio: float, attenuation_db: float, level1: float
) -> None:
    """Replace the control's power (samples,) by the outer hair cells' gain, in place.

    Linear below the knee, `ratio`:1 up to 100 dB SPL, linear above; `level1` is the level of 1.
    """
    slope = 1.0 - 1.0 / ratio
    for n in range(power.size):
        level_db = level1 + 0.5 * _DB_PER_NEPER * np.log(max(power[n], TINY * TINY))
        level_db = max(min(level_db, 100.0), knee_db)
        power[n] = np.exp((-attenuation_db - (level_db - knee_db) * slope) / _DB_PER_NEPER)


@njit(cache=True)
def compressed_band(
    signal: Array,
    cosine: Array,
    sine: Array,
    gammatone: Gammatone,
    gain: Array,
    smoothing: tuple[float, float],
    envelope: Array,
    motion: Array,
) -> float:
    """Envelope and basilar-membrane motion of a band after compression.

    Args:
        signal: (samples,) after the middle ear.
        cosine, sine: the band's carrier.
        gammatone: its filter.
        gain: (samples,) instantaneous gain of the outer hair cells.
        smoothing: b and a of the first-order low-pass b (1 + 1/z) / (1 + a/z) that delays the gain.
        envelope: (samples,), filled.
        motion: (samples,), filled.

    Returns:
        The root mean square of the envelope before compression.
    """
    scale, b1, b2, a1, a2, a3, a4 = gammatone
    gain_b, gain_a = smoothing
    r1 = r2 = r3 = r4 = i1 = i2 = i3 = i4 = g1 = 0.0
    total = 0.0
    for n in range(signal.size):
        u = signal[n] * cosine[n]
        real = r1 + u
        r1 = r2 + u * b1 + real * a1
        r2 = r3 + u * b2 + real * a2
        r3 = r4 + real * a3
        r4 = real * a4
        u = signal[n] * sine[n]
        imaginary = i1 + u
        i1 = i2 + u * b1 + imaginary * a1
        i2 = i3 + u * b2 + imaginary * a2
        i3 = i4 + imaginary * a3
        i4 = imaginary * a4
        smooth = g1 + gain_b * gain[n]
        g1 = gain_b * gain[n] - gain_a * smooth
        power = real * real + imaginary * imaginary
        total += power
        smooth *= scale
        envelope[n] = smooth * np.sqrt(power)
        motion[n] = smooth * (real * cosine[n] + imaginary * sine[n])
    return scale * np.sqrt(total / signal.size)


@njit(cache=True)
def inner_hair_cell(
    envelope: Array,
    motion: Array,
    attenuation_db: float,
    level1: float,
    noise: Array,
    noise_gain: float,
    delay: int,
    adapted_db: Array,
    firing: Array,
) -> None:
    """Convert to dB above threshold, adapt, and add the noise that stands for the threshold.

    Adaptation is a circuit of two resistor-capacitor stages, 2 ms and 60 ms, with an overshoot of
    twice the steady state (Kates and Arehart 2010, HASQI version 1, section 1.5). The motion gets
    the gain that the envelope got.

    Args:
        envelope, motion: (samples,) after compression.
        attenuation_db: of the inner hair cells.
        level1: dB SPL of an amplitude of 1.
        noise, noise_gain: (samples,) standard normal deviates, and their amplitude.
        delay: samples by which the output is late, zeros before.
        adapted_db: (samples,) filled with the envelope in dB.
        firing: (samples,) filled with the motion whose envelope that is, plus the noise.
    """
    overshoot, rapid_s, short_s, rate_hz = 2.0, 0.002, 0.060, 24000.0
    r1 = 1.0 / overshoot
    r2 = 0.5 * (1.0 - r1)
    r3 = r2
    c1 = rapid_s * (r1 + r2) / (r1 * r2)
    c2 = short_s / ((r1 + r2) * r3)
    rc1 = r1 * r2 * c1 * rate_hz
    rc2 = r2 * r3 * c2 * rate_hz
    a11, a12 = r1 + r2 + rc1, -r1
    a21, a22 = -r3, r2 + r3 + rc2
    determinant = a11 * a22 - a21 * a12
    v1 = v2 = 0.0
    adapted_db[:delay] = 0.0
    firing[:delay] = 0.0
    for n in range(envelope.size - delay):
        amplitude = envelope[n] + TINY
        sensation = level1 - attenuation_db + _DB_PER_NEPER * np.log(amplitude)
        if sensation < 0.0:
            sensation = 0.0
        drive1 = sensation * r2 + rc1 * v1
        drive2 = rc2 * v2
        v1 = (a22 * drive1 - a12 * drive2) / determinant
        v2 = (a11 * drive2 - a21 * drive1) / determinant
        output = (sensation - v1) / r1
        if output < 0.0:
            output = 0.0
        adapted_db[n + delay] = output
        firing[n + delay] = (output + TINY) / amplitude * motion[n] + noise_gain * noise[n]
