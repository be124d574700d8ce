"""Scores of enhanced files: HAAQI as the challenge computes it, in several processes."""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from cmss.audio import AudioHeader, read_sound, resample
from cmss.errors import InputError
from cmss.hearing.haaqi import Haaqi, haaqi_components
from cmss.hearing.hearing_aid import HearingAid
from cmss.remix import reference_remix
from cmss.scenes import Audiogram, Pair, Scene, SoundFiles, by_track

Waveform = NDArray[np.float64]


@dataclass(frozen=True)
class Scorer:
    """Computes HAAQI as the challenge does.

    Args:
        hearing_aid: amplifies the reference.
        haaqi_rate_hz: sampling rate at which signals are compared.
        random_seed: seed the noise in HAAQI by the scene, so that scores can be repeated.
    """

    hearing_aid: HearingAid
    haaqi_rate_hz: int = 24000
    random_seed: bool = True

    def reference(self, scene: Scene, sounds: SoundFiles | None = None) -> Waveform:
        """Remix the ground truth stems of a scene: (2, samples), without amplification.

        Args:
            scene: has the stems and their gains.
            sounds: reads the stems; None for a new one.

        Raises:
            InputError: a stem cannot be read.
        """
        sounds = sounds or SoundFiles(int(self.hearing_aid.sample_rate_hz))
        sources = scene.track.sources.items()
        stems = {key: sounds.excerpt(source.excerpt) for key, source in sources}
        return reference_remix(stems, scene.gains_db)

    def score(
        self, reference: Waveform, enhanced: NDArray[np.floating], rate_hz: int, pair: Pair
    ) -> tuple[Haaqi, Haaqi]:
        """Compute HAAQI of the left and the right ear.

        Both ears use one random generator for their noise, so the left ear must be first.

        Args:
            reference: from :meth:`reference`.
            enhanced: (2, samples) as read from the enhanced file.
            rate_hz: sampling rate of `enhanced`.
            pair: scene and listener.

        Raises:
            FloatingPointError: a score is not finite; the message names the pair.
            InputError: a signal is silent or too short to be scored; the message names the pair.
        """
        if self.random_seed:
            # The seed of the official evaluation.
            digest = hashlib.md5(pair.scene.id.encode()).hexdigest()
            np.random.seed(int(digest, 16) % 10**8)
        amplified = self.hearing_aid(reference, pair.listener)
        try:
            left, right = (
                self._ear(reference[side], amplified[side], enhanced[side], rate_hz, ear.audiogram)
                for side, ear in enumerate((pair.listener.left, pair.listener.right))
            )
        except InputError as error:
            raise InputError(f"{pair.name}: {line}" for line in error.problems) from error
        for name, haaqi in (("left", left), ("right", right)):
            if not np.isfinite(haaqi.score):
                raise FloatingPointError(f"{pair.name}: the {name} score is {haaqi.score}")
        return left, right

    def _ear(
        self,
        reference: Waveform,
        amplified: Waveform,
        enhanced: NDArray[np.floating],
        rate_hz: int,
        audiogram: Audiogram,
    ) -> Haaqi:
        """Compute HAAQI of an ear; all signals are (samples,)."""
        rms = np.sqrt(np.mean(reference**2))
        if rms == 0:
            raise InputError("the reference is silent in one ear, so it has no score")
        reference_rate_hz = int(self.hearing_aid.sample_rate_hz)
        return haaqi_components(
            processed_signal=resample(enhanced, rate_hz, self.haaqi_rate_hz),
            processed_sample_rate=self.haaqi_rate_hz,
            reference_signal=resample(amplified, reference_rate_hz, self.haaqi_rate_hz),
            reference_sample_rate=self.haaqi_rate_hz,
            audiogram=audiogram,
            equalisation=2,
            # Level in dB SPL of an RMS of 1: the reference before the hearing aid has 65 dB SPL.
            level1=65 - 20 * np.log10(rms),
        )


@dataclass(frozen=True)
class ScoreSettings:
    """Settings of a job that scores a run.

    Args:
        batch: index of the job, from 0.
        batch_size: number of jobs.
        jobs: number of processes.
        on_change: "redo" replaces scores of different inputs or settings, "error" stops.
        references: whether the separator reads the ground truth stems.
        score_settings: settings that affect the scores, for their fingerprints.
    """

    batch: int
    batch_size: int
    jobs: int
    on_change: str
    references: bool
    score_settings: Mapping[str, Any]


@dataclass(frozen=True)
class FileScorer:
    """Scores the enhanced files of a run; can be sent to another process.

    Args:
        scorer: computes HAAQI.
        folder: the run's folder.
        enhanced_rate_hz: required sampling rate of the files.
    """

    scorer: Scorer
    folder: Path
    enhanced_rate_hz: int

    def __call__(self, pair: Pair, reference: Waveform) -> tuple[Haaqi, Haaqi, int]:
        """Score a pair: left and right HAAQI, and the number of samples at full scale.

        Args:
            pair: scene and listener.
            reference: of the scene, from :meth:`Scorer.reference`.

        Raises:
            InputError: the enhanced file is missing, damaged, not stereo, or has another sampling
                rate or more than twice the length of the mixture.
            FloatingPointError: a score is not finite.
        """
        path = self.folder / pair.enhanced_file
        enhanced, rate_hz = read_sound(path, check=partial(self._check, path, pair))
        left, right = self.scorer.score(reference, enhanced, rate_hz, pair)
        # Clipped samples have the smallest or the largest value of 16 bits.
        is_clipped = (enhanced == -1) | (enhanced == 32767 / 32768)
        return left, right, int(np.count_nonzero(is_clipped))

    def _check(self, path: Path, pair: Pair, header: AudioHeader) -> None:
        if header.sample_rate_hz != self.enhanced_rate_hz or header.channels != 2:
            raise InputError(
                f"{path}: {header.channels} channel(s) at {header.sample_rate_hz} Hz, expected 2 "
                f"at {self.enhanced_rate_hz} Hz, the rate at which enhance.py writes"
            )
        # Checked before decoding: a small FLAC file may have days of silence.
        expected_s = pair.scene.track.mixture.duration_s
        if header.samples > 2 * expected_s * header.sample_rate_hz:
            raise InputError(
                f"{path}: {header.samples / header.sample_rate_hz:g} s, expected {expected_s:g} s"
            )


Score = tuple[Haaqi, Haaqi, int]
"""Result of a :class:`FileScorer`: left ear, right ear, number of samples at full scale."""

Reference = Waveform | InputError
"""Reference of a pair, or the reason why it cannot be computed."""


def with_references(
    scorer: Scorer, pairs: Iterable[Pair], sounds: SoundFiles
) -> Iterator[tuple[Pair, Reference]]:
    """Yield each pair with its reference, by track and scene.

    The stems of a track are decoded once for all its scenes, and the reference of a scene is
    computed once for all its listeners. Only one track is in memory at a time.
    """
    for track, group in by_track(pairs):
        for _, listeners in groupby(group, lambda pair: pair.scene.id):
            same_scene = [*listeners]
            reference: Reference
            try:
                reference = scorer.reference(same_scene[0].scene, sounds)
            except InputError as error:
                reference = error
            yield from ((pair, reference) for pair in same_scene)
        for source in track.sources.values():
            sounds.release(source.excerpt)


def score_files(
    scorer: Callable[[Pair, Waveform], Score], work: Iterable[tuple[Pair, Reference]], jobs: int
) -> Iterator[tuple[Pair, Callable[[], Score]]]:
    """Score pairs in several processes, in the order given.

    Args:
        scorer: scores a pair, such as a :class:`FileScorer`.
        work: pairs with their references, see :func:`with_references`; read only as fast as the
            processes need them.
        jobs: number of processes; with 1, the pairs are scored in this process.

    Yields:
        A pair, and a function that returns its score or raises the exception of the scorer.

    Raises:
        ChildProcessError: a process was killed; raised after all completed scores were yielded.
    """
    if jobs <= 1:
        for pair, reference in work:
            if isinstance(reference, InputError):
                yield pair, partial(_fail, reference)
            else:
                yield pair, partial(scorer, pair, reference)
        return
    # One thread per process: with the threads of these libraries there would be more threads than
    # cores.
    for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    with ProcessPoolExecutor(jobs, get_context("spawn"), _end_with_parent) as pool:
        waiting: deque[tuple[Pair, Future[Score]]] = deque()
        try:
            for pair, reference in work:
                waiting.append((pair, _submitted(pool, scorer, pair, reference)))
                # Two pairs for each process, so that it never waits for a reference.
                if len(waiting) >= 2 * jobs:
                    yield _scored(*waiting.popleft())
            # Raises BrokenProcessPool if the pool has noticed that a process was killed. Without
            # this, the loop below might wait forever for a pair that was submitted after that.
            pool.submit(int)
            while waiting:
                yield _scored(*waiting.popleft())
        except BrokenProcessPool as error:
            # Processes that the pool started after that would never end.
            for process in active_children():
                process.terminate()
            yield from (
                (pair, future.result)
                for pair, future in waiting
                if future.done() and not isinstance(future.exception(), BrokenProcessPool)
            )
            raise ChildProcessError(
                "a scoring process was killed, perhaps because memory was exhausted (fewer "
                "processes need less); run the same command again to continue"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _fail(error: InputError) -> NoReturn:
    raise error


def _submitted(
    pool: ProcessPoolExecutor,
    scorer: Callable[[Pair, Waveform], Score],
    pair: Pair,
    reference: Reference,
) -> Future[Score]:
    """Submit a pair to the pool; without a reference, return a future that has failed."""
    if not isinstance(reference, InputError):
        return pool.submit(scorer, pair, reference)
    failed: Future[Score] = Future()
    failed.set_exception(reference)
    return failed


def _scored(pair: Pair, future: Future[Score]) -> tuple[Pair, Callable[[], Score]]:
    """Wait for the score of a pair.

    Raises:
        BrokenProcessPool: a process was killed.
    """
    error = future.exception()
    if isinstance(error, BrokenProcessPool):
        raise error
    return pair, future.result


def _end_with_parent() -> None:
    """End this process when its parent process ends; called first in each scoring process."""

    def watch(parent: BaseProcess) -> None:
        parent.join()
        os._exit(1)

    if parent := parent_process():
        Thread(target=watch, args=(parent,), daemon=True).start()
