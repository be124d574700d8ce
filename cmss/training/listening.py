"""HAAQI of validation scenes with a network that is being trained: what the training is for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmss.audio import read_excerpt
from cmss.errors import InputError
from cmss.models.checkpoint import Network
from cmss.remix import ConsistentRemix, rebalance
from cmss.run.scoring import Scorer
from cmss.scenes import Pair, Track
from cmss.separators import Oracle, Separator, Stems
from cmss.separators.estimators import (
    OneForAll,
    OnePerInstrument,
    Segments,
    output_names,
    share_out,
)
from cmss.separators.steps.chain import after_steps
from cmss.separators.steps.step import Step


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

    def after(
        self,
        separator: Separator,
        candidates: Sequence[Sequence[Step]],
        progress: Callable = iter,
    ) -> NDArray[np.float64]:
        """Mean HAAQI of a separator's estimates after each of several lists of steps.

        Args:
            separator: separates each pair once.
            candidates: lists of steps. What two lists begin with alike is computed once.
            progress: wraps the pairs, such as tqdm.

        Returns:
            (candidates,).
        """
        sums = np.zeros(len(candidates))
        rate_hz = separator.sample_rate_hz
        for pair in progress(self.pairs):
            sources = pair.scene.track.sources
            mixture = read_excerpt(pair.scene.track.mixture, rate_hz)
            known: dict[tuple[Step, ...], Stems] = {(): separator.separate(mixture, sources)}
            for number, steps in enumerate(candidates):
                for length, step in enumerate(steps, 1):
                    if (done := (*steps[:length],)) not in known:
                        stems = known[done[:-1]]
                        known[done] = after_steps([step], mixture, stems, sources, rate_hz)
                sums[number] += self._heard(mixture, known[(*steps,)], pair)
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
