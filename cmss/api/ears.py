"""Amplifies signals for a listener's ears, and computes the HAAQI of signals."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cmss.api.audiograms import Levels, listener_of
from cmss.api.level import SAMPLE_RATE_HZ, calibration
from cmss.api.waveforms import Array, Waveform, sampling_rate, waveform
from cmss.audio import Excerpt, resample, resampled_length
from cmss.errors import InputError
from cmss.run.configuration import default_hearing_aid
from cmss.run.scoring import Scorer
from cmss.scenes import Pair, Scene, Track


class EarScores(NamedTuple):
    """HAAQI of both ears, between 0 and 1."""

    left: float
    right: float

    @property
    def mean(self) -> float:
        """Mean of the scores of both ears."""
        return (self.left + self.right) / 2


def amplify(
    signal: Array,
    rate: int,
    audiogram: Levels | Sequence[Levels],
    *,
    calibrate: bool = True,
    limit: bool = True,
) -> Array:
    """Amplify a signal for both ears of a listener.

    This function applies the hearing aid of the challenge: a compressor with six bands. The
    challenge's prescription computes the settings of the compressor from the audiogram.

    Args:
        signal: NumPy array or torch tensor, mono or stereo; see `separate`.
        rate: sampling rate in Hz, at least 8000. Signals are amplified at 44100 Hz.
        audiogram: hearing levels in dB HL in one of three forms: six levels at 250, 500, 1000,
            2000, 4000 and 8000 Hz; eight levels at 250, 500, 1000, 2000, 3000, 4000, 6000 and
            8000 Hz; or a dict from the frequency in Hz to the level. A single audiogram describes
            both ears. A pair `(left, right)` of audiograms describes two different ears.
        calibrate: whether to scale the signal to -40 LUFS, the loudness for which the hearing aid
            is designed, and to undo the scaling after the hearing aid. With `calibrate`, a listener
            without hearing loss hears the signal at the original level of the signal. Use False if
            the signal already has the level of the challenge's signals.
        limit: whether to attenuate a result that exceeds full scale. The entire signal is
            attenuated by the same factor in both ears, and a warning states the attenuation. For
            `score`, use `limit=False`, because the score depends on the level.

    Returns:
        The signals of the left and the right ear, with the type, sample type, layout and device of
            the argument `signal`. The result always has two channels; a mono array `(samples,)`
            gives `(samples, 2)`.

    Raises:
        InputError: an argument is not as described; for example, the frequencies are in kHz.

    Examples:
        >>> import cmss
        >>> import numpy as np
        >>> tone = 0.01 * np.sin(2 * np.pi * 4000 * np.arange(44100) / 44100)
        >>> ears = cmss.amplify(tone, 44100, [20, 20, 30, 45, 60, 70])
        >>> ears.shape
        (44100, 2)
        >>> bool(np.abs(ears).max() > np.abs(tone).max())
        True
    """
    rate_hz = sampling_rate(rate)
    sound = waveform(signal, "signal")
    listener = listener_of(audiogram)
    stereo = resample(sound.stereo.astype(np.float64), rate_hz, SAMPLE_RATE_HZ)
    gain = calibration(stereo, "signal") if calibrate else 1.0
    ears = default_hearing_aid(SAMPLE_RATE_HZ)(gain * stereo, listener) / gain
    back = resample(ears, SAMPLE_RATE_HZ, rate_hz)[:, : sound.signal.shape[1]]
    back = np.pad(back, ((0, 0), (0, sound.signal.shape[1] - back.shape[1])))
    peak = float(np.abs(back).max())
    if limit and peak > 1:
        warnings.warn(
            f"the amplified signal is attenuated by {20 * np.log10(peak):.1f} dB so that it does "
            "not exceed full scale; limit=False keeps its level",
            stacklevel=2,
        )
        back /= peak
    return sound.restore(back, "amplified signal")


def score(
    processed: Array,
    reference: Array,
    rate: int,
    audiogram: Levels | Sequence[Levels],
    *,
    reference_rate: int | None = None,
    calibrate: bool = True,
) -> EarScores:
    """Compute HAAQI, the hearing-aid audio quality index, in the same way as the challenge.

    The reference is amplified for the listener. HAAQI then compares the processed signal with the
    amplified reference. The ear model adds the same noise in each call, so equal signals have equal
    scores.

    Args:
        processed: the signal that the listener hears, after the hearing aid, such as the result of
            `amplify(..., limit=False)`; mono or stereo, see `separate`.
        reference: the ideal signal before the hearing aid, such as the remix of the ground truth
            stems; mono or stereo. The reference must have the level that the processed signal had
            before the hearing aid.
        rate: sampling rate of the processed signal in Hz, at least 8000.
        audiogram: hearing levels; see `amplify`.
        reference_rate: sampling rate of the reference in Hz. If `reference_rate` is None, both
            signals have the sampling rate `rate`.
        calibrate: whether the reference is set to -40 LUFS for the hearing aid; see `amplify`.

    Returns:
        Named tuple `(left, right)` of the scores of both ears, between 0 and 1. The attribute
            `mean` is the mean of both scores.

    Raises:
        InputError: an argument is not as described, the signals have different lengths, or a
            signal is too short or is silent in one ear.

    Examples:
        >>> import cmss
        >>> import numpy as np
        >>> rate, audiogram = 44100, [20, 20, 30, 45, 60, 70]
        >>> reference = 0.01 * np.random.default_rng(0).standard_normal((rate, 2))
        >>> ears = cmss.amplify(reference, rate, audiogram, limit=False)
        >>> scores = cmss.score(ears, reference, rate, audiogram)
        >>> round(scores.mean, 2)
        1.0
    """
    rate_hz = sampling_rate(rate)
    reference_rate_hz = (
        rate_hz if reference_rate is None else sampling_rate(reference_rate, "reference_rate")
    )
    heard, ideal = waveform(processed, "processed"), waveform(reference, "reference")
    listener = listener_of(audiogram)
    _check_lengths(heard, rate_hz, ideal, reference_rate_hz)
    stereo = resample(ideal.stereo.astype(np.float64), reference_rate_hz, SAMPLE_RATE_HZ)
    gain = calibration(stereo, "reference") if calibrate else 1.0
    nowhere = Excerpt(Path(), 0.0, float("inf"))
    pair = Pair(Scene("S0", Track("", {}, nowhere), {}), listener)
    scorer = Scorer(default_hearing_aid(SAMPLE_RATE_HZ))
    # The noise comes from NumPy's global generator, whose state belongs to the caller.
    state = np.random.get_state()
    try:
        enhanced = gain * heard.stereo.astype(np.float64)
        left, right = scorer.score(gain * stereo, enhanced, rate_hz, pair)
    except InputError as error:
        raise InputError(line.removeprefix(f"{pair.name}: ") for line in error.problems) from error
    finally:
        np.random.set_state(state)
    return EarScores(left.score, right.score)


def _check_lengths(
    processed: Waveform, rate_hz: int, reference: Waveform, reference_rate_hz: int
) -> None:
    expected = resampled_length(reference.signal.shape[1], reference_rate_hz, rate_hz)
    got = processed.signal.shape[1]
    # Resampling rounds the length.
    if abs(got - expected) > (0 if rate_hz == reference_rate_hz else 1):
        raise InputError(
            f"processed: expected {expected} samples, the length of the reference, got {got}"
        )
