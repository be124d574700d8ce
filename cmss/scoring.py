"""What evaluate.py does with each scene and listener: HAAQI as the challenge computes it."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread

import numpy as np
from numpy.typing import NDArray

from cmss.audio import inspect, read_excerpt, read_flac, resample
from cmss.errors import InputError
from cmss.haaqi import Haaqi, haaqi_components
from cmss.hearing_aid import HearingAid
from cmss.processor import cores
from cmss.remix import reference_remix
from cmss.scenes import Audiogram, Pair, Scene

Waveform = NDArray[np.float64]

FULL_SCALE = 32767 / 32768
"""The highest value of 16 bits, which clipped samples have."""
LONGEST = 2
"""How many times as long as its mixture an enhanced file may be to be read at all."""


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

    def reference(self, scene: Scene) -> Waveform:
        """The true stems of a scene, remixed: (2, samples), not yet amplified."""
        rate = int(self.hearing_aid.sample_rate_hz)
        stems = {
            key: read_excerpt(source.excerpt, rate) for key, source in scene.track.sources.items()
        }
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

    def __call__(self, pair: Pair) -> tuple[Haaqi, Haaqi, int]:
        """Left and right HAAQI of a pair, and how many samples of its file are at full scale.

        Raises:
            InputError: the enhanced file is missing, damaged, far too long, not stereo, or at
                another rate.
            FloatingPointError: a score is not finite.
        """
        path = self.folder / pair.enhanced_file
        header = inspect(path)
        if header.sample_rate_hz != self.enhanced_rate_hz or header.channels != 2:
            raise InputError(
                f"{path}: {header.channels} channel(s) at {header.sample_rate_hz} Hz, expected 2 "
                f"at {self.enhanced_rate_hz} Hz (remix_sample_rate)"
            )
        # Silence packs so well that a small file can hold days of it.
        expected_s = pair.scene.track.mixture.duration_s
        if header.samples > LONGEST * expected_s * header.sample_rate_hz:
            raise InputError(
                f"{path}: {header.samples / header.sample_rate_hz:g} s, expected {expected_s:g} s"
            )
        enhanced, rate_hz = read_flac(path)
        left, right = self.scorer.score(self.scorer.reference(pair.scene), enhanced, rate_hz, pair)
        return left, right, int(np.count_nonzero((enhanced == -1) | (enhanced == FULL_SCALE)))


Score = tuple[Haaqi, Haaqi, int]
"""What a :class:`FileScorer` gives."""


def score_files(
    scorer: Callable[[Pair], Score], pairs: Sequence[Pair], jobs: int | None
) -> Iterator[tuple[Pair, Callable[[], Score]]]:
    """Score pairs in several processes, in the order given.

    Args:
        scorer: how, a :class:`FileScorer`.
        pairs: what.
        jobs: processes; None takes one for each core that this process may use.

    Yields:
        each pair, and what gives its score or raises what the scorer raised.

    Raises:
        ChildProcessError: a process was killed; raised behind all pairs that had been scored.
    """
    jobs = min(jobs or cores(), len(pairs))
    if jobs <= 1:
        yield from ((pair, partial(scorer, pair)) for pair in pairs)
        return
    # Each process is one thread: libraries that bring threads of their own would outnumber cores.
    for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    with ProcessPoolExecutor(jobs, get_context("spawn"), _end_with_parent) as pool:
        lost: BaseException | None = None
        try:
            scored = _submitted(pool, scorer, pairs)
            for pair, future in scored:
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    lost = error
                else:
                    yield pair, future.result
        except BrokenProcessPool as error:
            lost = error
        finally:
            pool.shutdown(cancel_futures=True)
    if lost:
        raise ChildProcessError(
            "a process of evaluate.py was killed, for want of memory perhaps (a smaller "
            "evaluate.jobs takes less); the same command goes on where this one ended"
        ) from lost


def _submitted(
    pool: ProcessPoolExecutor, scorer: Callable[[Pair], Score], pairs: Sequence[Pair]
) -> list[tuple[Pair, Future[Score]]]:
    """Hand all pairs to the pool, which starts its processes meanwhile.

    Raises:
        BrokenProcessPool: one was killed before all were started. Pairs and processes that came
            after the pool has noticed would be waited for without end.
    """
    try:
        scored = [(pair, pool.submit(scorer, pair)) for pair in pairs]
        pool.submit(int)  # refused if the pool has noticed by now
    except BrokenProcessPool:
        for process in active_children():
            process.terminate()
        raise
    return scored


def _end_with_parent() -> None:
    """In a scoring process: end when the one that started it has been killed."""

    def watch(parent: BaseProcess) -> None:
        parent.join()
        os._exit(1)

    if parent := parent_process():
        Thread(target=watch, args=(parent,), daemon=True).start()
