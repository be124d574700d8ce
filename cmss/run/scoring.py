"""What evaluate.py does with each scene and listener: HAAQI as the challenge computes it."""

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

FULL_SCALE = 32767 / 32768
"""The highest value of 16 bits, which clipped samples have."""
LONGEST = 2
"""How many times as long as its mixture an enhanced file may be to be read at all."""
AHEAD = 2
"""Pairs for each process that are handed to it, with their references, before they are scored."""


@dataclass(frozen=True)
class Scorer:
    """HAAQI as the challenge computes it.

    Args:
        hearing_aid: amplifies the reference.
        haaqi_rate_hz: sampling rate at which signals are compared.
        random_seed: draw the metric's noise from a seed that depends on the scene alone.
    """

    hearing_aid: HearingAid
    haaqi_rate_hz: int = 24000
    random_seed: bool = True

    def reference(self, scene: Scene, sounds: SoundFiles | None = None) -> Waveform:
        """The true stems of a scene, remixed: (2, samples), not yet amplified.

        Args:
            scene: names the stems and their gains.
            sounds: reads the stems; None reads them for this call alone.

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
        """HAAQI of the left and the right ear.

        Both ears draw from one stream of noise, left first, so their order matters.

        Args:
            reference: from :meth:`reference`.
            enhanced: (2, samples) as read from the enhanced file.
            rate_hz: sampling rate of `enhanced`.
            pair: scene and listener.

        Raises:
            FloatingPointError: a score is not finite; the message names the pair.
            InputError: a silent reference, or less than can be scored; so does this one.
        """
        if self.random_seed:
            np.random.seed(scene_seed(pair.scene.id))
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
        """HAAQI of one ear, all (samples,); the level is that of the reference before the aid."""
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
            level1=65 - 20 * np.log10(rms),
        )


@dataclass(frozen=True)
class ScoreSettings:
    """Which job of a run scores, and what shapes its scores.

    Args:
        batch: which job, from 0.
        batch_size: the number of jobs.
        jobs: processes.
        on_change: "redo" replaces scores made with different inputs or settings, "error" stops.
        references: whether the separator reads the true stems.
        shaping: settings that shape every score, for the fingerprints.
    """

    batch: int
    batch_size: int
    jobs: int
    on_change: str
    references: bool
    shaping: Mapping[str, Any]


def scene_seed(scene_id: str) -> int:
    """Seed of the metric's noise for a scene, as in the official evaluation."""
    return int(hashlib.md5(scene_id.encode()).hexdigest(), 16) % 10**8


@dataclass(frozen=True)
class FileScorer:
    """Scores the enhanced files of a run; can be sent to another process.

    Args:
        scorer: how.
        folder: the run's folder.
        enhanced_rate_hz: sampling rate that the files must have.
    """

    scorer: Scorer
    folder: Path
    enhanced_rate_hz: int

    def __call__(self, pair: Pair, reference: Waveform) -> tuple[Haaqi, Haaqi, int]:
        """Left and right HAAQI of a pair, and how many samples of its file are at full scale.

        Args:
            pair: scene and listener.
            reference: of the scene, from :meth:`Scorer.reference`.

        Raises:
            InputError: the enhanced file is missing, damaged, far too long, not stereo, or at
                another rate.
            FloatingPointError: a score is not finite.
        """
        path = self.folder / pair.enhanced_file
        enhanced, rate_hz = read_sound(path, check=partial(self._check, path, pair))
        left, right = self.scorer.score(reference, enhanced, rate_hz, pair)
        return left, right, int(np.count_nonzero((enhanced == -1) | (enhanced == FULL_SCALE)))

    def _check(self, path: Path, pair: Pair, header: AudioHeader) -> None:
        if header.sample_rate_hz != self.enhanced_rate_hz or header.channels != 2:
            raise InputError(
                f"{path}: {header.channels} channel(s) at {header.sample_rate_hz} Hz, expected 2 "
                f"at {self.enhanced_rate_hz} Hz, the rate at which enhance.py writes"
            )
        # Silence packs so well that a small file can hold days of it.
        expected_s = pair.scene.track.mixture.duration_s
        if header.samples > LONGEST * expected_s * header.sample_rate_hz:
            raise InputError(
                f"{path}: {header.samples / header.sample_rate_hz:g} s, expected {expected_s:g} s"
            )


Score = tuple[Haaqi, Haaqi, int]
"""What a :class:`FileScorer` gives."""


Reference = Waveform | InputError
"""What a pair is compared with, or why there is nothing."""


def with_references(
    scorer: Scorer, pairs: Iterable[Pair], sounds: SoundFiles
) -> Iterator[tuple[Pair, Reference]]:
    """Each pair with its reference, track by track and scene by scene.

    The stems of a track are decoded once for all its scenes, and a reference is made once for all
    listeners of its scene. No more than one track is held in memory.
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
        scorer: scores one pair, a :class:`FileScorer`.
        work: pairs with their references, see :func:`with_references`; read no further ahead than
            the processes need.
        jobs: number of processes; with 1, this one.

    Yields:
        each pair, and what gives its score or raises what the scorer raised.

    Raises:
        ChildProcessError: a process was killed; raised after all pairs that had been scored.
    """
    if jobs <= 1:
        for pair, reference in work:
            if isinstance(reference, InputError):
                yield pair, partial(_fail, reference)
            else:
                yield pair, partial(scorer, pair, reference)
        return
    # Each process is one thread: libraries that bring threads of their own would outnumber cores.
    for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    with ProcessPoolExecutor(jobs, get_context("spawn"), _end_with_parent) as pool:
        waiting: deque[tuple[Pair, Future[Score]]] = deque()
        try:
            for pair, reference in work:
                waiting.append((pair, _submitted(pool, scorer, pair, reference)))
                if len(waiting) >= AHEAD * jobs:
                    yield _scored(*waiting.popleft())
            # Refused if the pool has noticed by now that a process is lost; only then could one of
            # those that were submitted before be waited for without end.
            pool.submit(int)
            while waiting:
                yield _scored(*waiting.popleft())
        except BrokenProcessPool as error:
            # Those that were started after the pool had noticed would never end.
            for process in active_children():
                process.terminate()
            yield from (
                (pair, future.result)
                for pair, future in waiting
                if future.done() and not isinstance(future.exception(), BrokenProcessPool)
            )
            raise ChildProcessError(
                "a scoring process was killed, perhaps for lack of memory (fewer processes need "
                "less); the same command goes on where this one ended"
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
    """A pair in the hands of the pool; one without a reference has failed already."""
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
    """In a scoring process: end when the one that started it has been killed."""

    def watch(parent: BaseProcess) -> None:
        parent.join()
        os._exit(1)

    if parent := parent_process():
        Thread(target=watch, args=(parent,), daemon=True).start()
