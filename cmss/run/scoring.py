"""Computes HAAQI of enhanced files by the method of the challenge, in several processes."""

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
    """Computes HAAQI in the same way as the challenge.

    Args:
        hearing_aid: hearing aid that amplifies the reference.
        haaqi_rate_hz: sampling rate at which HAAQI compares the signals.
        random_seed: whether to seed the noise in HAAQI with the id of the scene, so that the same
            signals always get the same score.
    """

    hearing_aid: HearingAid
    haaqi_rate_hz: int = 24000
    random_seed: bool = True

    def reference(self, scene: Scene, sounds: SoundFiles | None = None) -> Waveform:
        """Remix the ground truth stems of a scene with the gains of the scene.

        Args:
            scene: scene with the stems and their gains.
            sounds: cache that reads the stems. If `sounds` is None, a new cache is created.

        Returns:
            The remix (2, samples) without amplification by the hearing aid.

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

        HAAQI adds noise to the signals of both ears. Both noise signals come from the same random
        generator. As in the official evaluation, the score of the left ear is computed first. The
        order of the ears affects the noise, and therefore the scores.

        Args:
            reference: remix of the ground truth stems, see :meth:`reference`.
            enhanced: signal (2, samples) of the enhanced file.
            rate_hz: sampling rate of `enhanced`.
            pair: pair of scene and listener.

        Raises:
            FloatingPointError: a score is not finite; the message names the pair.
            InputError: a signal is silent or too short to be scored; the message names the pair.
        """
        if self.random_seed:
            # The official evaluation uses the same seed.
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
        """Compute HAAQI of one ear.

        Args:
            reference: remix (samples,) of the ground truth stems.
            amplified: remix (samples,) after the hearing aid.
            enhanced: signal (samples,) of the enhanced file.
            rate_hz: sampling rate of `enhanced`.
            audiogram: audiogram of this ear.

        Raises:
            InputError: the reference is silent, or HAAQI cannot be computed.
        """
        rms = np.sqrt(np.mean(reference**2))
        if rms == 0:
            raise InputError("the reference is silent in one ear, so HAAQI cannot be computed")
        reference_rate_hz = int(self.hearing_aid.sample_rate_hz)
        return haaqi_components(
            processed_signal=resample(enhanced, rate_hz, self.haaqi_rate_hz),
            processed_sample_rate=self.haaqi_rate_hz,
            reference_signal=resample(amplified, reference_rate_hz, self.haaqi_rate_hz),
            reference_sample_rate=self.haaqi_rate_hz,
            audiogram=audiogram,
            equalisation=2,
            # level1 is the level in dB SPL of a signal whose RMS is 1. This level is chosen so that
            # the reference has 65 dB SPL before the hearing aid.
            level1=65 - 20 * np.log10(rms),
        )


@dataclass(frozen=True)
class ScoreSettings:
    """Holds the settings of a job that scores a run.

    Args:
        batch: index of the job, from 0.
        batch_size: number of jobs.
        jobs: number of processes in this job.
        on_change: what to do with existing scores that were produced with different inputs or
            settings: "redo" replaces these scores, "error" raises an error.
        references: whether the separator reads the ground truth stems.
        score_settings: settings that affect the scores, for the fingerprints of the scores.
    """

    batch: int
    batch_size: int
    jobs: int
    on_change: str
    references: bool
    score_settings: Mapping[str, Any]


@dataclass(frozen=True)
class FileScorer:
    """Scores the enhanced files of a run; an object of this class can be sent to another process.

    Args:
        scorer: scorer that computes HAAQI.
        folder: the run's folder.
        enhanced_rate_hz: required sampling rate of the enhanced files.
    """

    scorer: Scorer
    folder: Path
    enhanced_rate_hz: int

    def __call__(self, pair: Pair, reference: Waveform) -> tuple[Haaqi, Haaqi, int]:
        """Score the enhanced file of a pair of scene and listener.

        Args:
            pair: pair of scene and listener.
            reference: remix of the scene's ground truth stems, see :meth:`Scorer.reference`.

        Returns:
            HAAQI of the left ear, HAAQI of the right ear, and the number of samples at full scale
            in the enhanced file.

        Raises:
            InputError: the enhanced file is missing, damaged or not stereo, has a different
                sampling rate, or is more than twice as long as the mixture; or a signal is silent
                or too short to be scored.
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
        # Check the length before decoding, because a small FLAC file may contain days of silence.
        expected_s = pair.scene.track.mixture.duration_s
        if header.samples > 2 * expected_s * header.sample_rate_hz:
            raise InputError(
                f"{path}: {header.samples / header.sample_rate_hz:g} s, expected {expected_s:g} s"
            )


Score = tuple[Haaqi, Haaqi, int]
"""Result of a :class:`FileScorer`: left ear, right ear, number of samples at full scale."""

Reference = Waveform | InputError
"""Reference of a pair, or the exception that was raised instead of the reference."""


def with_references(
    scorer: Scorer, pairs: Iterable[Pair], sounds: SoundFiles
) -> Iterator[tuple[Pair, Reference]]:
    """Yield each pair with the reference of the pair, in the order of tracks and scenes.

    The stems of a track are decoded once for all scenes of the track, and the reference of a scene
    is computed once for all listeners of the scene. Only the stems of one track are in memory at a
    time.

    Args:
        scorer: scorer that computes the references.
        pairs: pairs of scene and listener.
        sounds: cache that reads the stems.
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
    """Score pairs in several processes, and yield the scores in the order of the pairs.

    Args:
        scorer: function that scores a pair, such as a :class:`FileScorer`.
        work: pairs with their references, see :func:`with_references`. At most two pairs for each
            process are read from `work` in advance.
        jobs: number of processes; if 1, the pairs are scored in this process.

    Yields:
        A pair, and a function that returns the score of the pair, or raises the exception that the
        scorer raised.

    Raises:
        ChildProcessError: a process was killed. Before this error is raised, all scores that are
            already computed are yielded.
    """
    if jobs <= 1:
        for pair, reference in work:
            if isinstance(reference, InputError):
                yield pair, partial(_fail, reference)
            else:
                yield pair, partial(scorer, pair, reference)
        return
    # Let each process use a single thread. By default, each process would start a thread for each
    # core, so that there would be more threads than cores.
    for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    with ProcessPoolExecutor(jobs, get_context("spawn"), _end_with_parent) as pool:
        waiting: deque[tuple[Pair, Future[Score]]] = deque()
        try:
            for pair, reference in work:
                waiting.append((pair, _submitted(pool, scorer, pair, reference)))
                # Keep two pairs ready for each process, so that no process waits for a reference.
                if len(waiting) >= 2 * jobs:
                    yield _scored(*waiting.popleft())
            # submit() raises BrokenProcessPool if the pool has noticed that a process was killed.
            # Without this call, the loop below might wait forever for a pair that was submitted
            # after the process was killed.
            pool.submit(int)
            while waiting:
                yield _scored(*waiting.popleft())
        except BrokenProcessPool as error:
            # The pool may have started further processes after a process was killed. They would
            # never end by themselves.
            for process in active_children():
                process.terminate()
            yield from (
                (pair, future.result)
                for pair, future in waiting
                if future.done() and not isinstance(future.exception(), BrokenProcessPool)
            )
            raise ChildProcessError(
                "a scoring process was killed, perhaps because memory was exhausted (fewer "
                "processes need less memory); run the same command again to continue"
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
    """Submit a pair to the pool.

    If `reference` is an exception, nothing is submitted, and the method `result` of the returned
    future raises this exception.
    """
    if not isinstance(reference, InputError):
        return pool.submit(scorer, pair, reference)
    failed: Future[Score] = Future()
    failed.set_exception(reference)
    return failed


def _scored(pair: Pair, future: Future[Score]) -> tuple[Pair, Callable[[], Score]]:
    """Wait for the score of a pair.

    Returns:
        The pair, and a function that returns the score of the pair or raises the exception of the
        scorer.

    Raises:
        BrokenProcessPool: a process was killed.
    """
    error = future.exception()
    if isinstance(error, BrokenProcessPool):
        raise error
    return pair, future.result


def _end_with_parent() -> None:
    """Make this process end when the parent process ends.

    Each scoring process calls this function when the process starts.
    """

    def watch(parent: BaseProcess) -> None:
        parent.join()
        os._exit(1)

    if parent := parent_process():
        Thread(target=watch, args=(parent,), daemon=True).start()
