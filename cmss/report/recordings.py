"""Computes the sounds of a pair for the report, and scales them to equal loudness."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmss.audio import SHORTEST_LOUDNESS_S, loudness_lufs, resample
from cmss.models.outputs import output_name
from cmss.run.kept_files import read_stems
from cmss.run.scoring import Scorer
from cmss.scenes import Pair, SoundFiles

Sounds = dict[str, NDArray[np.floating]]


def versions(
    folder: Path, pair: Pair, scorer: Scorer, stems: bool, files: SoundFiles
) -> tuple[Sounds, int]:
    """Return mixture, reference and enhanced signal of a pair, all amplified for the listener.

    Args:
        folder: the run's folder.
        pair: pair of scene and listener.
        scorer: scorer that computes the reference.
        stems: whether to return the estimated stems as well. The stems are amplified for the
            listener, but the gains of the scene are not applied to the stems.
        files: cache that reads the sound files.

    Returns:
        Two values: a dict from the name of a version to its signal (2, samples), and the sampling
        rate of all signals in Hz. The enhanced file has the same sampling rate.
    """
    track = pair.scene.track
    enhanced, rate_hz = files.read(folder / pair.enhanced_file)
    aid = scorer.hearing_aid
    aid_rate_hz = int(aid.sample_rate_hz)
    mixture = files.excerpt(track.mixture)
    plain: Sounds = {"mixture": mixture, "reference": scorer.reference(pair.scene, files)}
    for source_id, stem in (read_stems(folder, track, files) if stems else {}).items():
        source = track.sources[source_id]
        plain[output_name(source.instrument, source.voice)] = stem
    amplified: Sounds = {
        name: resample(aid(signal, pair.listener), aid_rate_hz, rate_hz)
        for name, signal in plain.items()
    }
    compared = {name: amplified.pop(name) for name in ("mixture", "reference")}
    return {**compared, "enhanced": enhanced, **amplified}, rate_hz


def equally_loud(sounds: Mapping[str, NDArray[np.floating]], sample_rate_hz: int) -> Sounds:
    """Scale signals to equal loudness, because listeners prefer louder signals.

    Args:
        sounds: dict from a name to its signal (2, samples).
        sample_rate_hz: sampling rate of all signals.
    """
    levels_db = {name: _level_db(signal, sample_rate_hz) for name, signal in sounds.items()}
    audible = [name for name, level in levels_db.items() if np.isfinite(level)]
    headroom_db = (levels_db[n] - 20 * np.log10(np.abs(sounds[n]).max()) for n in audible)
    # The common loudness is -20 LUFS, or the highest loudness at which no signal clips.
    target_db = min([-20.0, *headroom_db])
    return {
        name: signal * 10 ** ((target_db - levels_db[name]) / 20) if name in audible else signal
        for name, signal in sounds.items()
    }


def _level_db(signal: NDArray[np.floating], sample_rate_hz: int) -> float:
    """Return the loudness of a signal in LUFS; minus infinity for silence.

    If the signal is too short for a measurement of loudness, return its mean power in dB.
    """
    if signal.shape[-1] >= SHORTEST_LOUDNESS_S * sample_rate_hz:
        return loudness_lufs(signal, sample_rate_hz)
    power = float(np.mean(np.square(signal)))
    return 10 * np.log10(power) if power else -np.inf
