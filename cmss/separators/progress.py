"""Reports the fraction of a separation that is done."""

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmss.scenes import Source
from cmss.separators import Separator
from cmss.separators.ensemble import Ensemble, Member
from cmss.separators.protocol import Around, Stems


class Progress:
    """Counts the work that is done, and reports it as a fraction.

    In each block of the recording, each member of an ensemble counts as one unit of work. The steps
    after the ensemble count together as one more unit.
    """

    def __init__(self, report: Callable[[float], object] | None, samples: int) -> None:
        self._report = report
        self._samples = samples
        self._done = 0
        self._units = 1
        self._of_block = 0
        if report:
            report(0.0)

    def watch(self, separator: Separator) -> Separator:
        """Return a separator that reports the progress after each member of an ensemble.

        If `separator` contains no ensemble, its behaviour does not change.
        """
        watched: Any = separator
        if isinstance(separator, Around):
            watched = copy(separator)
            watched.separator = self.watch(separator.separator)
        elif isinstance(separator, Ensemble):
            watched = copy(separator)
            watched.members = [
                Member(_Watched(member.separator, self._member_done), member.weight)
                for member in separator.members
            ]
            self._units += len(separator.members)
        return watched

    def _member_done(self, samples: int) -> None:
        self._of_block += 1
        self._tell(self._done + samples * min(1.0, self._of_block / self._units))

    def block_done(self, samples: int) -> None:
        """Report that a block has been separated."""
        # Blocks overlap, so the sum of their lengths exceeds the length of the recording.
        self._of_block = 0
        self._done += samples
        self._tell(self._done)

    def _tell(self, samples: float) -> None:
        if self._report:
            self._report(min(1.0, samples / self._samples))


class _Watched(Around):
    """Wrapper that calls a function after each separation, with the number of separated samples."""

    def __init__(self, separator: Separator, done: Callable[[int], object]) -> None:
        super().__init__(separator)
        self._done = done

    def separate(self, mixture: NDArray[np.float32], sources: Mapping[str, Source]) -> Stems:
        """See :class:`cmss.separators.protocol.Separator`."""
        stems = self.separator.separate(mixture, sources)
        self._done(mixture.shape[-1])
        return stems
