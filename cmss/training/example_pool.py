"""Prepares the training examples of a post-filter while the post-filter is trained."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import numpy as np

from cmss.training.postfiltering import Example

_AHEAD = 4  # number of examples that are prepared for later steps


class ExamplePool:
    """Draws the examples of each training step from a pool of examples.

    The examples have the numbers 0, 1, 2, ... The pool of a step consists of `size` consecutive
    examples. The number of the first example increases from step to step, so that each example is
    used in `uses` excerpts on average. The examples of a step are a function of `make`, the seed
    and the number of the step. A thread prepares the next examples during the training.

    Args:
        make: function that returns the example with a given number.
        size: number of examples in the pool.
        batch_size: number of examples in each step.
        uses: mean number of excerpts in which an example is used.
        steps: number of steps of the training.
        seed: seed of the random choice.
    """

    def __init__(
        self,
        make: Callable[[int], Example],
        size: int,
        batch_size: int,
        uses: int,
        steps: int,
        seed: int,
    ) -> None:
        self.make, self.size, self.batch_size, self.uses = make, size, batch_size, uses
        self.seed = seed
        self._end = self.first(max(steps - 1, 0)) + size
        self._thread = ThreadPoolExecutor(1)
        self._examples: dict[int, Future[Example]] = {}

    def first(self, step: int) -> int:
        """Return the number of the first example in the pool of a step."""
        return step * self.batch_size // self.uses

    def __call__(self, step: int) -> Sequence[Example]:
        """Return the examples of a step."""
        first = self.first(step)
        for number in [number for number in self._examples if number < first]:
            del self._examples[number]
        for number in range(first, min(first + self.size + _AHEAD, self._end)):
            if number not in self._examples:
                self._examples[number] = self._thread.submit(self.make, number)
        drawn = np.random.default_rng((self.seed, step)).integers(self.size, size=self.batch_size)
        return [self._examples[first + int(offset)].result() for offset in drawn]

    def __enter__(self) -> "ExamplePool":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the thread; examples that were not begun are not prepared."""
        self._thread.shutdown(cancel_futures=True)
