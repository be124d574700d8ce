"""Implements the listener's hearing aid: a crossover, a compressor for each band, and a sum.

The challenge amplifies both the reference and the enhanced music with this hearing aid. Then HAAQI
compares the amplified signals. The hearing aid is equivalent to pyclarity's `MultibandCompressor`
with a knee width of zero.

The crossover is D'Appolito's active all-pass network (AES 76th Convention, 1984). Fourth-order
Linkwitz-Riley filters limit the signal to a band: a low-pass filter at the upper edge of the band,
a high-pass filter at the lower edge of the band, and a high-pass filter at each edge below the
lower edge. Then the signal is filtered by the all-pass filter of each edge above the upper edge, so
that the bands add up in phase.

The compressor follows Giannoulis, Massberg and Reiss (JAES 60(6), 2012). The compressor has a level
detector in dB, a hard-knee gain computer, branching smoothing with attack and release times, and a
make-up gain.

The outputs of this hearing aid and of pyclarity's hearing aid differ by at most 1e-9. Such a small
difference requires the same rounding errors, because the all-pass filters of the lowest band have
poles close to z = 1. Different rounding errors would change the output by 4e-9. Therefore, the
filters of this module have the same design and the same structure as in pyclarity, and the
operations have the same order.

The behaviour differs from pyclarity in two points. First, the caller's signal is not modified,
whereas pyclarity's `Compressor` modifies the caller's signal. This difference does not affect the
results of the challenge's programs, because `MultibandCompressor` passes only the output of its
crossover to `Compressor`. Second, digital silence stays silence, whereas pyclarity replaces zeros
by 1e-12 (-240 dB).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import butter, tf2zpk, zpk2tf

from cmss.errors import InputError
from cmss.machine.compiled import compiled
from cmss.machine.pieces import Pieces
from cmss.quantities import ATTACK_MS, CROSSOVER_HZ, RELEASE_MS
from cmss.scenes import Compression, Listener

Signal = NDArray[np.float64]

LOWEST_THRESHOLD_DB = -120.0
"""Lowest level that the level detector can measure; pyclarity has the same limit."""


@dataclass(frozen=True)
class HearingAid:
    """Amplifies signals with the challenge's hearing aid.

    The fields are those of the challenge's `enhancer` configuration.

    Args:
        crossover_frequencies: ascending edges between the bands in Hz, below half the sampling
            rate.
        attack: attack time of each band in ms, or a single attack time for all bands.
        release: release time of each band in ms, or a single release time for all bands.
        threshold: level of each band in dB re full scale, or a single level for all bands. A band
            is compressed above this level.
        sample_rate_hz: sampling rate of the signals.

    Raises:
        InputError: a field is out of range, or has the wrong number of values.
    """

    crossover_frequencies: Sequence[float]
    attack: Sequence[float] | float
    release: Sequence[float] | float
    threshold: Sequence[float] | float
    sample_rate_hz: float = 44100.0

    def __post_init__(self) -> None:
        edges = tuple(float(edge) for edge in self.crossover_frequencies)
        bands = len(edges) + 1
        object.__setattr__(self, "crossover_frequencies", edges)
        for name in ("attack", "release", "threshold"):
            values = getattr(self, name)
            if isinstance(values, int | float):
                values = [values] * bands
            object.__setattr__(self, name, tuple(float(value) for value in values))
        if problems := list(self._problems(bands)):
            raise InputError(problems)

    def _problems(self, bands: int) -> list[str]:
        """Return a message for each field that is out of range or has a wrong number of values."""
        edges = np.array(self.crossover_frequencies)
        problems = []
        limits = np.concatenate(([0.0], edges, [self.sample_rate_hz / 2]))
        if not edges.size or not np.all(np.diff(limits) > 0):
            problems.append(
                "enhancer.crossover_frequencies: expected ascending frequencies between 0 and "
                f"{self.sample_rate_hz / 2:g} Hz, half of input_sample_rate, got {edges.tolist()}"
            )
        elif refusal := CROSSOVER_HZ.refusal(self.crossover_frequencies):
            problems.append(f"enhancer.crossover_frequencies: {refusal}")
        times_ms = {"attack": ATTACK_MS, "release": RELEASE_MS}
        for name in ("attack", "release", "threshold"):
            values = np.array(getattr(self, name))
            if values.size != bands:
                problems.append(
                    f"enhancer.{name}: expected {bands} values, one more than "
                    f"enhancer.crossover_frequencies, got {values.size}"
                )
            elif name == "threshold" and not np.all(values >= LOWEST_THRESHOLD_DB):
                problems.append(
                    f"enhancer.threshold: expected {LOWEST_THRESHOLD_DB:g} dB or more, got {values}"
                )
            elif name != "threshold" and not np.all(values > 0):
                problems.append(f"enhancer.{name}: expected positive times in ms, got {values}")
            elif name != "threshold" and (refusal := times_ms[name].refusal(values)):
                problems.append(f"enhancer.{name}: {refusal}")
        return problems

    def __call__(self, signal: ArrayLike, listener: Listener) -> Signal:
        """Amplify a stereo signal for a listener's two ears.

        Args:
            signal: left and right channel, an array of shape (2, samples) with full scale 1; the
                array is not modified.
            listener: the listener, whose compression parameters are used for both ears.

        Returns:
            The amplified signal in float64, an array of shape (2, samples).
        """
        return next(self.in_pieces([np.asarray(signal)], listener))

    def in_pieces(self, signal: Pieces, listener: Listener) -> Iterator[Signal]:
        """Amplify a stereo signal in pieces of any lengths; the lengths do not affect the output.

        Args:
            signal: pieces of shape (2, samples) with full scale 1; the pieces are not modified.
            listener: the listener, whose compression parameters are used for both ears.

        Yields:
            The amplified pieces in float64, arrays of shape (2, samples).
        """
        ears = [self.parameters(ear.compression) for ear in (listener.left, listener.right)]
        states = [new_state(len(self.crossover_frequencies) + 1) for _ in ears]
        for piece in signal:
            channels = (np.ascontiguousarray(channel, dtype=np.float64) for channel in piece)
            yield np.stack(
                [_amplify(*one, *ear) for *one, ear in zip(channels, states, ears, strict=True)]
            )

    def amplify_ear(self, signal: ArrayLike, compression: Compression) -> Signal:
        """Amplify the signal of an ear.

        Args:
            signal: the signal, an array of shape (samples,) with full scale 1; the array is not
                modified.
            compression: compression ratio and make-up gain of each band.

        Returns:
            The amplified signal in float64, an array of shape (samples,).

        Raises:
            InputError: `compression` and the hearing aid have different numbers of bands.
        """
        parameters = self.parameters(compression)
        state = new_state(len(self.crossover_frequencies) + 1)
        return _amplify(np.ascontiguousarray(signal, dtype=np.float64), state, *parameters)

    def parameters(self, compression: Compression) -> tuple[Signal, ...]:
        """Return the arguments of the compiled loops of this module.

        Returns:
            Three arrays with the low-pass, high-pass and all-pass filters of the crossover, and
            five arrays of shape (bands,): threshold in dB, slope, attack coefficient, release
            coefficient and gain in dB.

        Raises:
            InputError: `compression` and the hearing aid have different numbers of bands.
        """
        bands = len(self.crossover_frequencies) + 1
        if not len(compression.ratios) == len(compression.gains_db) == bands:
            raise InputError(
                f"compressor parameters: expected {bands} ratios and gains, "
                f"got {len(compression.ratios)} and {len(compression.gains_db)}"
            )
        return (
            *self._crossover,
            np.array(self.threshold),
            1.0 - 1.0 / np.array(compression.ratios, dtype=np.float64),
            self._smoothing(self.attack),
            self._smoothing(self.release),
            np.array(compression.gains_db, dtype=np.float64),
        )

    @cached_property
    def _crossover(self) -> tuple[Signal, Signal, Signal]:
        """Return the low-pass, high-pass and all-pass filter of each edge between two bands.

        Each array has the shape (edges, 2, coefficients) and contains the numerator and the
        denominator of each filter.
        """
        edges = np.array(self.crossover_frequencies) / (self.sample_rate_hz / 2)
        low = [_linkwitz_riley(edge, "low") for edge in edges]
        high = [_linkwitz_riley(edge, "high") for edge in edges]
        both = [_in_parallel(*pair) for pair in zip(low, high, strict=True)]
        return np.array(low), np.array(high), np.array(both)

    def _smoothing(self, times_ms: Sequence[float] | float) -> Signal:
        """Return the coefficients of one-pole low-pass filters with time constants `times_ms`."""
        return np.exp(-1.0 / (0.001 * self.sample_rate_hz * np.array(times_ms)))


def _linkwitz_riley(edge: float, btype: str) -> Signal:
    """Design a fourth-order filter: a second-order Butterworth filter that is applied twice.

    Args:
        edge: cut-off frequency as a fraction of half the sampling rate.
        btype: type of the filter, "low" or "high".

    Returns:
        Numerator and denominator of the filter, an array of shape (2, 5).
    """
    zeros, poles, gain = tf2zpk(*butter(2, edge, btype=btype))
    return np.array(zpk2tf(np.tile(zeros, 2), np.tile(poles, 2), gain**2), dtype=np.float64)


def _in_parallel(low: Signal, high: Signal) -> Signal:
    """Return the sum of a low-pass and a high-pass filter, which is an all-pass filter.

    The result has the shape (2, 9).
    """
    low_zeros, low_poles, low_gain = tf2zpk(*low)
    high_zeros, high_poles, high_gain = tf2zpk(*high)
    numerator = low_gain * np.poly(np.concatenate((low_zeros, high_poles)))
    numerator = numerator + high_gain * np.poly(np.concatenate((high_zeros, low_poles)))
    denominator = np.poly(np.concatenate((low_poles, high_poles)))
    return np.array([numerator, denominator], dtype=np.float64)


def new_state(bands: int) -> Signal:
    """Return the state of the compiled loops before the first sample.

    Returns:
        An array of zeros of shape (bands, bands, 8). The first index is the band. In the array
        (bands, 8) of a band, the last row holds the gain reduction of the compressor in dB, and the
        other rows hold the states of the filters.
    """
    return np.zeros((bands, bands, 8))


@compiled()
def _amplify(
    signal: Signal,
    state: Signal,
    low_pass: Signal,
    high_pass: Signal,
    all_pass: Signal,
    threshold_db: Signal,
    slope: Signal,
    attack: Signal,
    release: Signal,
    gain_db: Signal,
) -> Signal:
    """Split a signal into bands, compress each band and add the bands.

    `state` is the result of `new_state`, or the state after the previous piece of the signal. The
    function updates `state` in place. The arguments after `state` are the results of
    `HearingAid.parameters`.
    """
    output = np.zeros(signal.size)
    band = np.empty(signal.size)
    for i in range(len(low_pass) + 1):
        band[:] = signal
        _split_off(i, low_pass, high_pass, all_pass, band, state[i])
        _compress(
            band,
            state[i, -1],
            threshold_db[i],
            slope[i],
            attack[i],
            release[i],
            gain_db[i],
            output,
        )
    return output


@compiled()
def _split_off(
    i: int, low_pass: Signal, high_pass: Signal, all_pass: Signal, signal: Signal, state: Signal
) -> None:
    """Replace a signal (samples,) in place by the signal of band i.

    `state` has a row for the filter at each edge; the rows are updated in place.
    """
    edges = len(low_pass)
    if i < edges:
        _filter4(low_pass[i], signal, state[i])
    for below in range(i):
        _filter4(high_pass[below], signal, state[below])
    for above in range(i + 1, edges):
        _filter8(all_pass[above], signal, state[above])


@compiled()
def _filter4(coefficients: Signal, x: Signal, state: Signal) -> None:
    """Apply a fourth-order recursive filter in place, and update its state.

    The filter has the transposed direct form II and the order of operations of
    `scipy.signal.lfilter`, see the docstring of this module.
    """
    b0, b1, b2, b3, b4 = coefficients[0]
    _, a1, a2, a3, a4 = coefficients[1]
    z1, z2, z3, z4 = state[:4]
    for n in range(x.size):
        u = x[n]
        v = z1 + b0 * u
        z1 = z2 + u * b1 - v * a1
        z2 = z3 + u * b2 - v * a2
        z3 = z4 + u * b3 - v * a3
        z4 = u * b4 - v * a4
        x[n] = v
    state[:4] = z1, z2, z3, z4


@compiled()
def _filter8(coefficients: Signal, x: Signal, state: Signal) -> None:
    """Apply an eighth-order recursive filter in place; see `_filter4`."""
    b0, b1, b2, b3, b4, b5, b6, b7, b8 = coefficients[0]
    _, a1, a2, a3, a4, a5, a6, a7, a8 = coefficients[1]
    z1, z2, z3, z4, z5, z6, z7, z8 = state
    for n in range(x.size):
        u = x[n]
        v = z1 + b0 * u
        z1 = z2 + u * b1 - v * a1
        z2 = z3 + u * b2 - v * a2
        z3 = z4 + u * b3 - v * a3
        z4 = z5 + u * b4 - v * a4
        z5 = z6 + u * b5 - v * a5
        z6 = z7 + u * b6 - v * a6
        z7 = z8 + u * b7 - v * a7
        z8 = u * b8 - v * a8
        x[n] = v
    state[:] = z1, z2, z3, z4, z5, z6, z7, z8


@compiled()
def _compress(
    band: Signal,
    state: Signal,
    threshold_db: float,
    slope: float,
    attack: float,
    release: float,
    gain_db: float,
    output: Signal,
) -> None:
    """Compress the signal of a band, and add the compressed signal to `output`.

    The first value of `state` is the gain reduction in dB, which is updated in place. The argument
    `slope` is 1 - 1 / ratio, and `attack` and `release` are coefficients of one-pole low-pass
    filters.
    """
    nepers_per_db = np.log(10.0) / 20.0
    threshold = 10.0 ** (threshold_db / 20.0)
    reduction_db = state[0]
    for n in range(band.size):
        level = abs(band[n])
        wanted_db = 0.0
        if not level < threshold:  # In this form, NaN propagates to the output.
            wanted_db = slope * (np.log(level) / nepers_per_db - threshold_db)
        weight = attack if wanted_db > reduction_db else release
        reduction_db = weight * reduction_db + (1.0 - weight) * wanted_db
        output[n] += band[n] * np.exp(nepers_per_db * (gain_db - reduction_db))
    state[0] = reduction_db
