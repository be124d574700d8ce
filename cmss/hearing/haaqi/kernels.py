"""Defines compiled loops of the ear model for a single signal, in one band or in LANES bands.

Each loop combines several of pyclarity's vector operations and processes one tile of samples
after the other, so that the samples stay in the cache. In shapes, `samples` is the length of the
signal at 24 kHz. Recursive filters have the order of operations of scipy.signal.lfilter, because
the lowest bands amplify rounding errors. The filters of LANES bands are computed in the same vector
registers. Signals must be finite, because `fast_log` would convert a NaN to a number.
"""

import numpy as np
from numpy.typing import NDArray

from cmss.hearing.haaqi.filterbank import MODEL_RATE_HZ, Array
from cmss.hearing.haaqi.lanes import LANES, load, spread, square_root, store
from cmss.hearing.haaqi.vector_math import fast_exp, fast_log
from cmss.machine.compiled import compiled

TINY = 1e-30
"""Constant that is added before a logarithm or a division, so that no result is infinite."""

_DB_PER_NEPER = 20.0 / np.log(10.0)

_TILE = 256
"""Number of samples that a loop processes at once, so that they stay in the fastest cache."""

_CONTRACT = {"contract"}  # allow the compiler to fuse a product and a sum with a single rounding

OVERSHOOT = 2.0
"""Ratio of the inner hair cell's response at an onset to its response in the steady state."""


def _adaptation_modes() -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the decay and the weight of both modes of the inner hair cell's adaptation.

    The model is a circuit of two resistor-capacitor stages with time constants of 2 ms and 60 ms.
    The current at an onset is twice the current in the steady state (Kates and Arehart 2010, JAES
    58(5)). With backward differences, the two voltages v follow the recursion v' = A v + B u, and
    the output is (u - v'[0]) / r1, where u is the input. The eigenvectors of A decouple the
    recursion into two modes m' = decay * m + u. The voltage v'[0] is the sum of weight * m' over
    both modes.
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
def _carrier(radians: Array) -> Array:
    """Compute the cosine and the negative sine of n * radians for the samples of a tile.

    Args:
        radians: radians per sample at the centre frequencies, (LANES,).

    Returns:
        Cosines and negative sines, (2, _TILE * LANES); the bands of a sample are adjacent.
    """
    carrier = np.empty((2, _TILE * LANES))
    for n in range(_TILE):
        for lane in range(LANES):
            carrier[0, n * LANES + lane] = np.cos(radians[lane] * n)
            carrier[1, n * LANES + lane] = -np.sin(radians[lane] * n)
    return carrier


@compiled(error_model="numpy")
def _demodulate(signal: Array, start: int, radians: Array, carrier: Array, tile: Array) -> None:
    """Multiply a tile of the signal by the carriers, which shifts the bands to 0 Hz.

    The carrier is that of the first tile, rotated: a complex product is faster than two
    trigonometric functions per sample, and errors do not accumulate.

    Args:
        signal: samples of the tile.
        start: number of the first sample of the tile.
        radians: see :func:`_carrier`.
        carrier: result of :func:`_carrier`.
        tile: array into which the carrier, its real part first, and then the real and the imaginary
            part of the demodulated signal are written, (4, _TILE * LANES).
    """
    turn = np.empty((2, LANES))
    for lane in range(LANES):
        turn[0, lane], turn[1, lane] = np.cos(radians[lane] * start), -np.sin(radians[lane] * start)
    turn_cosine, turn_sine = load(turn[0], 0), load(turn[1], 0)
    for n in range(signal.size):
        head_cosine, head_sine = load(carrier[0], n * LANES), load(carrier[1], n * LANES)
        cosine = turn_cosine * head_cosine - turn_sine * head_sine
        sine = turn_cosine * head_sine + turn_sine * head_cosine
        sample = spread(signal[n])
        store(tile[0], n * LANES, cosine)
        store(tile[1], n * LANES, sine)
        store(tile[2], n * LANES, sample * cosine)
        store(tile[3], n * LANES, sample * sine)


@compiled(error_model="numpy")
def _filter(tile: Array, size: int, gammatones: Array, weights: Array, states: Array) -> None:
    """Filter the demodulated signal of a tile by the gammatone filters of the bands, in place.

    The gain of the filters is not applied. The filters are those of scipy.signal.lfilter, in
    transposed direct form II.

    Args:
        tile: see :func:`_demodulate`.
        size: number of samples in the tile.
        gammatones: coefficients of the filters, (7, LANES), see `Gammatone`.
        weights: weights of the squared magnitudes, (LANES,).
        states: states of the filters, and the weighted sum of the squared magnitudes of their
            outputs, (9, LANES). They are advanced in place.
    """
    b1, b2, a1 = load(gammatones[1], 0), load(gammatones[2], 0), load(gammatones[3], 0)
    a2, a3, a4 = load(gammatones[4], 0), load(gammatones[5], 0), load(gammatones[6], 0)
    r1, r2, r3, r4 = load(states[0], 0), load(states[1], 0), load(states[2], 0), load(states[3], 0)
    i1, i2, i3, i4 = load(states[4], 0), load(states[5], 0), load(states[6], 0), load(states[7], 0)
    total, weight = load(states[8], 0), load(weights, 0)
    for n in range(0, size * LANES, LANES):
        u = load(tile[2], n)
        real = r1 + u
        r1 = r2 + u * b1 + real * a1
        r2 = r3 + u * b2 + real * a2
        r3 = r4 + real * a3
        r4 = real * a4
        u = load(tile[3], n)
        imaginary = i1 + u
        i1 = i2 + u * b1 + imaginary * a1
        i2 = i3 + u * b2 + imaginary * a2
        i3 = i4 + imaginary * a3
        i4 = imaginary * a4
        store(tile[2], n, real)
        store(tile[3], n, imaginary)
        total = total + weight * (real * real + imaginary * imaginary)
    store(states[0], 0, r1)
    store(states[1], 0, r2)
    store(states[2], 0, r3)
    store(states[3], 0, r4)
    store(states[4], 0, i1)
    store(states[5], 0, i2)
    store(states[6], 0, i3)
    store(states[7], 0, i4)
    store(states[8], 0, total)


@compiled(error_model="numpy")
def mean_powers(signal: Array, radians: Array, gammatones: Array, powers: Array) -> None:
    """Compute the mean of the squared envelope of LANES bands.

    Args:
        signal: signal after the middle ear, (samples,).
        radians: radians per sample at the centre frequencies, (LANES,).
        gammatones: coefficients of the filters, (7, LANES), see `Gammatone`.
        powers: array into which the means are written, (LANES,).
    """
    carrier, tile = _carrier(radians), np.empty((4, _TILE * LANES))
    states = np.zeros((9, LANES))
    for start in range(0, signal.size, _TILE):
        part = signal[start : start + _TILE]
        _demodulate(part, start, radians, carrier, tile)
        _filter(tile, part.size, gammatones, gammatones[0] * gammatones[0], states)
    powers[:] = states[8] / signal.size


@compiled(error_model="numpy", fastmath=_CONTRACT)
def _compression_gain(
    real: Array, imaginary: Array, scale: Array, compression: Array, level1: float, gain: Array
) -> None:
    """Compute the gain of the outer hair cells from the output of the control filters.

    The gain is constant for levels up to the knee and above 100 dB SPL. In between, levels are
    compressed. All arrays have the values of the bands of a sample next to each other.

    Args:
        real, imaginary: output of the control filters, (values,) each.
        scale: square of the gain of the control filters, (values,).
        compression: level in dB SPL at which compression begins, slope of the gain over the level,
            and loss of amplification in the outer hair cells in dB, (3, values).
        level1: dB SPL of an amplitude of 1.
        gain: array into which the gain is written, (values,).
    """
    knee_db, slope, attenuation_db = compression[0], compression[1], compression[2]
    for n in range(gain.size):
        power = scale[n] * (real[n] * real[n] + imaginary[n] * imaginary[n])
        level_db = level1 + 0.5 * _DB_PER_NEPER * fast_log(max(power, TINY * TINY))
        excess_db = max(min(level_db, 100.0), knee_db[n]) - knee_db[n]
        gain[n] = fast_exp((-attenuation_db[n] - excess_db * slope[n]) / _DB_PER_NEPER)


@compiled(error_model="numpy")
def _smooth_gain(gain: Array, smoothing: tuple[float, float], state: Array) -> None:
    """Delay the gains of LANES bands in place by the low-pass b (1 + 1/z) / (1 + a/z)."""
    b, a, delayed = spread(smoothing[0]), spread(smoothing[1]), load(state, 0)
    for n in range(0, gain.size, LANES):
        current = b * load(gain, n)
        smooth = delayed + current
        delayed = current - a * smooth
        store(gain, n, smooth)
    store(state, 0, delayed)


@compiled(error_model="numpy")
def compressed_bands(
    signal: Array,
    radians: Array,
    control: Array,
    gammatones: Array,
    compression: Array,
    level1: float,
    smoothing: tuple[float, float],
    envelope: Array,
    motion: Array,
    rms: Array,
) -> None:
    """Compute the envelope and the basilar-membrane motion of LANES bands after compression.

    Args:
        signal: signal after the middle ear, (samples,).
        radians: radians per sample at the centre frequencies, (LANES,).
        control: coefficients of the control filters, (7, LANES), see `Gammatone`.
        gammatones: coefficients of the auditory filters, (7, LANES).
        compression: knee in dB SPL, slope and attenuation in dB of each band, (3, LANES), see
            :func:`_compression_gain`.
        level1: dB SPL of an amplitude of 1.
        smoothing: coefficients b and a of the first-order low-pass b (1 + 1/z) / (1 + a/z) that
            delays the gain.
        envelope: array into which the envelopes are written, (LANES, samples).
        motion: array into which the motions are written, (LANES, samples).
        rms: array into which the root mean square of each envelope before compression is written,
            (LANES,).
    """
    carrier, tile = _carrier(radians), np.empty((4, _TILE * LANES))
    demodulated, gain = np.empty((2, _TILE * LANES)), np.empty(_TILE * LANES)
    control_states, states, gain_state = np.zeros((9, LANES)), np.zeros((9, LANES)), np.zeros(LANES)
    ones = np.ones(LANES)
    # Constants of the bands, repeated for each sample of a tile.
    values = np.arange(_TILE * LANES) % LANES
    scale, square = load(gammatones[0], 0), (control[0] * control[0])[values]
    constants = np.empty((3, _TILE * LANES))
    for i in range(3):
        constants[i] = compression[i][values]
    for start in range(0, signal.size, _TILE):
        part = signal[start : start + _TILE]
        stop = part.size * LANES
        _demodulate(part, start, radians, carrier, tile)
        demodulated[:] = tile[2:]
        _filter(tile, part.size, control, ones, control_states)
        # In an incomplete last tile, the values after the end of the signal are not used.
        _compression_gain(tile[2], tile[3], square, constants, level1, gain)
        _smooth_gain(gain[:stop], smoothing, gain_state)
        tile[2:] = demodulated
        _filter(tile, part.size, gammatones, ones, states)
        for n in range(0, stop, LANES):
            real, imaginary = load(tile[2], n), load(tile[3], n)
            factor = load(gain, n) * scale
            power = real * real + imaginary * imaginary
            along_carrier = real * load(tile[0], n) + imaginary * load(tile[1], n)
            store(tile[2], n, factor * square_root(power))
            store(tile[3], n, factor * along_carrier)
        for lane in range(LANES):
            envelope_part = envelope[lane, start : start + _TILE]
            motion_part = motion[lane, start : start + _TILE]
            for n in range(part.size):
                envelope_part[n] = tile[2, n * LANES + lane]
                motion_part[n] = tile[3, n * LANES + lane]
    for lane in range(LANES):
        rms[lane] = gammatones[0, lane] * np.sqrt(states[8, lane] / signal.size)


@compiled(error_model="numpy", fastmath=_CONTRACT)
def inner_hair_cell(
    envelope: Array,
    motion: Array,
    attenuation_db: float,
    level1: float,
    noise: NDArray[np.float32],
    noise_gain: float,
    delay: int,
    adapted_db: Array,
    firing: Array,
) -> None:
    """Apply the inner hair cells of a band to the envelope and the motion.

    The envelope is converted to dB above the hearing threshold and adapted. The motion is scaled to
    the adapted envelope, and the noise that represents the threshold is added to the motion.

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
    (decay1, weight1), (decay2, weight2) = ADAPTATION
    mode1 = mode2 = 0.0
    for start in range(0, late_db.size, _TILE):
        part = slice(start, start + _TILE)
        amplitude, level, output = envelope[part], late_db[part], late_firing[part]
        movement, deviates = motion[part], noise[part]
        for n in range(level.size):
            level_db = level1 - attenuation_db + _DB_PER_NEPER * fast_log(amplitude[n] + TINY)
            level[n] = max(level_db, 0.0)
        for n in range(level.size):
            drive = level[n]
            mode1 = decay1 * mode1 + drive
            mode2 = decay2 * mode2 + drive
            level[n] = max(OVERSHOOT * (drive - weight1 * mode1 - weight2 * mode2), 0.0)
        for n in range(level.size):
            gain = (level[n] + TINY) / (amplitude[n] + TINY)
            output[n] = gain * movement[n] + noise_gain * deviates[n]
