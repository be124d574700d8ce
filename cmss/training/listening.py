"""HAAQI of validation scenes with a network that is being trained: what the training is for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from cmss.audio import read_excerpt
from cmss.errors import InputError
from cmss.models.checkpoint import Network
from cmss.remix import ConsistentRemix, rebalance
from cmss.scenes import Pair, Track
from cmss.scoring import Scorer
from cmss.separators import Oracle, Separator, Stems
from cmss.separators.network import (
    OneForAll,
    OnePerInstrument,
    Segments,
    output_names,
    share_out,
)
from cmss.separators.partials import share_by_power
from cmss.separators.refined import refine
from cmss.separators.spatial import WINDOW, Spatial, sort_by_direction


@dataclass(frozen=True)
class ListeningTest:
    """Mean HAAQI of some pairs, separated by a network, remixed and amplified.

    With the network of one instrument the other players' stems are the true ones, so that the
    figure tells about this network alone.

    Args:
        pairs: what to listen to; with the network of one instrument, scenes in which it plays.
        scorer: how; its hearing aid is also the system's.
        instrument: the network's, if it is a network of one.
    """

    pairs: Sequence[Pair]
    scorer: Scorer
    instrument: str | None = None

    @classmethod
    def spread(
        cls, pairs: Sequence[Pair], count: int, scorer: Scorer, instrument: str | None = None
    ) -> "ListeningTest":
        """A test of `count` of the pairs, evenly spread over them.

        Raises:
            InputError: no pair in which the instrument plays.
        """
        pairs = [
            pair
            for pair in pairs
            if instrument is None
            or instrument in {s.instrument for s in pair.scene.track.sources.values()}
        ]
        if not pairs:
            raise InputError(
                f"haaqi_pairs: no pair of scene and listener has {instrument or 'any instrument'}, "
                "expected at least one"
            )
        count = min(count, len(pairs))
        chosen = [pairs[number * len(pairs) // count] for number in range(count)]
        return cls(chosen, scorer, instrument)

    def __call__(self, model: Network) -> float:
        """Mean over pairs and ears."""
        return float(np.mean([self._score(model, pair) for pair in self.pairs]))

    def _score(self, model: Network, pair: Pair) -> float:
        rate_hz = int(self.scorer.hearing_aid.sample_rate_hz)
        mixture = read_excerpt(pair.scene.track.mixture, rate_hz)
        stems = self._stems(model, mixture, pair.scene.track, rate_hz)
        return self._heard(mixture, stems, pair)

    def refined(
        self,
        separator: Separator,
        directions: Sequence[Spatial],
        windows: Sequence[int],
        progress: Callable = iter,
    ) -> NDArray[np.float64]:
        """Mean HAAQI of a separator's estimates after steps behind it.

        Args:
            separator: separates each pair once.
            directions: ways of sorting the estimates by direction.
            windows: of sharing out by power, after each of them; 0: not at all.
            progress: wraps the pairs, such as tqdm.

        Returns:
            (directions, windows).
        """
        sums = np.zeros((len(directions), len(windows)))
        rate_hz = separator.sample_rate_hz
        for pair in progress(self.pairs):
            mixture = read_excerpt(pair.scene.track.mixture, rate_hz)
            stems = separator.separate(mixture, pair.scene.track.sources)
            for row, settings in enumerate(directions):
                step = partial(sort_by_direction, settings=settings)
                placed = refine(step, mixture, stems, rate_hz, WINDOW)
                for column, window in enumerate(windows):
                    last = placed
                    if window:
                        last = refine(share_by_power, mixture, placed, rate_hz, window)
                    sums[row, column] += self._heard(mixture, last, pair)
        return sums / len(self.pairs)

    def _heard(self, mixture: NDArray[np.float32], stems: Stems, pair: Pair) -> float:
        """Mean HAAQI of both ears of a pair whose mixture (2, samples) was taken apart so."""
        rate_hz = int(self.scorer.hearing_aid.sample_rate_hz)
        remix = rebalance(mixture, stems, pair.scene, ConsistentRemix())
        enhanced = self.scorer.hearing_aid(remix, pair.listener)
        ears = self.scorer.score(self.scorer.reference(pair.scene), enhanced, rate_hz, pair)
        return float(np.mean([ear.score for ear in ears]))

    def _stems(
        self, model: Network, mixture: NDArray[np.float32], track: Track, rate_hz: int
    ) -> Stems:
        device = next(model.parameters()).device
        if self.instrument is None:
            estimate = OneForAll(lambda: model, rate_hz, Segments(), device)
            names = output_names(track.sources.values())
            return share_out(estimate(mixture, names), track.sources)
        stems = Oracle(rate_hz).separate(mixture, track.sources)
        own = {
            key: source
            for key, source in track.sources.items()
            if source.instrument == self.instrument
        }
        one = OnePerInstrument(lambda _: model, rate_hz, Segments(), device)
        estimates = one(mixture, output_names(own.values()))
        return {**stems, **share_out(estimates, own)}
