"""Defines compiled loops of the ear model for a single auditory band of a single signal.

Each loop combines several of pyclarity's vector operations, so that the samples of a band stay in
the cache. In shapes, `samples` is the length of the signal at 24 kHz. Recursive filters have the
order of operations of scipy.signal.lfilter, because the lowest bands amplify rounding errors.
Signals must be finite, because `fast_log` would convert a NaN to a number.
"""

import numpy as np

from cmss.hearing.haaqi.filterbank import MODEL_RATE_HZ, Array, Gammatone
from cmss.hearing.haaqi.vector_math import fast_exp, fast_log
from cmss.machine.compiled import compiled

TINY = 1e-30
"""Constant that is added before a logarithm or a division, so that no result is infinite."""

_DB_PER_NEPER = 20.0 / np.log(10.0)

_CONTRACT = {"contract"}  # allow the compiler to fuse a product and a sum with a single rounding

OVERSHOOT = 2.0
"""Ratio of the inner hair cell's response at an onset to its response in the steady state."""


def _adaptation_modes() -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the decay and the weight of each mode of adaptation in the inner hair cell.

    The model is a circuit of two resistor-capacitor stages with time constants of 2 ms and 60 ms.
    The current at an onset is twice the current in the steady state (Kates and Arehart 2010, JAES
    58(5)). Let u be the input. With backward differences, the two voltages v follow the recursion
    v' = A v + B u. The output is (u - v'[0]) / r1. The eigenvectors of A decouple the recursion
    into two modes m' = decay * m + u. The voltage v'[0] is the sum of weight * m' over both modes.
    """
    rapid_s, short_s = 0.002, 0.060
    r1 = 1.0 / OVERSHOOT
    r2 = r3 = 0.5 * (1.0 - r1)
    c1, c2 = rapid_s * (r1 + r2) / (r1 * r2), short_s / ((r1 + r2) * r3)
    # Kirchhoff's current law at both capacitors is (C + G) v' = C v + g u. So A = inv(C + G) C.
    stored1, stored2 = r1 * r2 * c1 * MODEL_RATE_HZ, r2 * r3 * c2 * MODEL_RATE_HZ
    step = np.linalg.inv([[r1 + r2 + stored1, -r1], [-r3, r2 + r3 + stored2]])
    decays, vectors = np.linalg.eig(step @ np.diag([stored1, stored2]))
    weights = vectors[0] * np.linalg.solve(vectors, step @ [r2, 0.0])
    first, second = zip(decays.tolist(), weights.tolist(), strict=True)
    return first, second


ADAPTATION = _adaptation_modes()
"""Decay and weight of both modes m of the adaptation.

For a level u, the adapted level is OVERSHOOT times the difference between u and the sum of
weight * m.
"""


@compiled(error_model="numpy")
def demodulate(radians: float, cosine: Array, sine: Array) -> None:
    """Fill two arrays (samples,) with the cosine and the negative sine of n * radians."""
    # Each block of 256 samples is computed by a rotation of the first block, because a complex
    # product is faster than two trigonometric functions per sample, and errors do not accumulate.
    size = 256
    head_cosine = np.cos(radians * np.arange(size))
    head_sine = -np.sin(radians * np.arange(size))
    for start in range(0, cosine.size, size):
        turn_cosine, turn_sine = np.cos(radians * start), -np.sin(radians * start)
        real, imaginary = cosine[start : start + size], sine[start : start + size]
        for n in range(real.size):
            real[n] = turn_cosine * head_cosine[n] - turn_sine * head_sine[n]
            imaginary[n] = turn_cosine * head_sine[n] + turn_sine * head_cosine[n]


@compiled(error_model="numpy")
def control_power(
    signal: Array, cosine: Array, sine: Array, gammatone: Gammatone, power: Array
) -> float:
    """Compute the squared envelope of the control path.

    Args:
        signal: signal after the middle ear, an array of shape (samples,).
        cosine, sine: carrier of the band, two arrays of shape (samples,).
        gammatone: control filter of the band.
        power: array of shape (samples,) into which the squared envelope is written.

    Returns:
        The mean of the squared envelope.
    """
    gain, b1, b2, a1, a2, a3, a4 = gammatone
    # r1 ... r4 and i1 ... i4 are the filter states of the real and the imaginary part, in
    # transposed direct form II as in scipy.signal.lfilter.
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


@compiled(error_model="numpy", fastmath=_CONTRACT)
def compression_gain(
    power: Array, knee_db: float, ratio: float, attenuation_db: float, level1: float
) -> None:
    """Compute the gain of the outer hair cells from the power of the control path.

    The gain is written into the array of the power.

    The gain is constant for levels up to the knee and for levels above 100 dB SPL. Levels between
    the knee and 100 dB SPL are compressed.

    Args:
        power: squared envelope of the control path, an array of shape (samples,).
        knee_db: level in dB SPL at which compression begins.
        ratio: compression ratio.
        attenuation_db: loss of amplification in the outer hair cells.
        level1: level in dB SPL of an amplitude of 1.
    """
    slope = 1.0 - 1.0 / ratio
    for n in range(power.size):
        level_db = level1 + 0.5 * _DB_PER_NEPER * fast_log(max(power[n], TINY * TINY))
        excess_db = max(min(level_db, 100.0), knee_db) - knee_db
        power[n] = fast_exp((-attenuation_db - excess_db * slope) / _DB_PER_NEPER)


@compiled(error_model="numpy")
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
    """Compute the envelope and the basilar-membrane motion of a band after compression.

    Args:
        signal: signal after the middle ear, an array of shape (samples,).
        cosine, sine: carrier of the band, two arrays of shape (samples,).
        gammatone: auditory filter of the band.
        gain: instantaneous gain of the outer hair cells, an array of shape (samples,).
        smoothing: coefficients b and a of the first-order low-pass filter b (1 + 1/z) / (1 + a/z),
            which delays the gain.
        envelope: array of shape (samples,) into which the envelope is written.
        motion: array of shape (samples,) into which the motion is written.

    Returns:
        The root mean square of the envelope before compression.
    """
    scale, b1, b2, a1, a2, a3, a4 = gammatone
    gain_b, gain_a = smoothing
    # The filter states are those of `control_power`; g1 is the state of the gain's low-pass.
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


@compiled(error_model="numpy", fastmath=_CONTRACT)
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
    """Apply the inner hair cells of a band to the envelope and the motion.

    The envelope is converted to dB above the hearing threshold. Then the adaptation is applied. The
    motion is scaled to the adapted envelope, and the noise that represents the threshold is added
    to the motion.

    Args:
        envelope, motion: envelope and motion after compression, two arrays of shape (samples,).
        attenuation_db: loss of sensitivity in the inner hair cells.
        level1: level in dB SPL of an amplitude of 1.
        noise: standard normal deviates, an array of shape (samples,).
        noise_gain: amplitude of the noise.
        delay: number of samples by which the outputs are delayed; the outputs start with this
            number of zeros.
        adapted_db: array of shape (samples,) into which the adapted envelope in dB is written.
        firing: array of shape (samples,) into which the scaled motion plus the noise is written.
    """
    adapted_db[:delay] = 0.0
    firing[:delay] = 0.0
    late_db, late_firing = adapted_db[delay:], firing[delay:]
    for n in range(late_db.size):
        level_db = level1 - attenuation_db + _DB_PER_NEPER * fast_log(envelope[n] + TINY)
        late_db[n] = max(level_db, 0.0)
    (decay1, weight1), (decay2, weight2) = ADAPTATION
    mode1 = mode2 = 0.0
    for n in range(late_db.size):
        drive = late_db[n]
        mode1 = decay1 * mode1 + drive
        mode2 = decay2 * mode2 + drive
        late_db[n] = max(OVERSHOOT * (drive - weight1 * mode1 - weight2 * mode2), 0.0)
    for n in range(late_db.size):
        gain = (late_db[n] + TINY) / (envelope[n] + TINY)
        late_firing[n] = gain * motion[n] + noise_gain * noise[n]
