"""Measures the mean HAAQI of a network in training, or of a separator and its processing steps."""

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
class MeanHaaqi:
    """Measures the mean HAAQI over pairs of scene and listener after separation and remix.

    For a network of a single instrument, the ground truth stems are used for all other players.
    Therefore, the result depends only on this network.

    Args:
        pairs: pairs of scene and listener. If the network estimates a single instrument, this
            instrument must play in every scene.
        scorer: scorer that measures HAAQI. The hearing aid of the scorer amplifies the remix.
        instrument: instrument that a network of a single instrument estimates; None for a network
            of all instruments.
    """

    pairs: Sequence[Pair]
    scorer: Scorer
    instrument: str | None = None

    @classmethod
    def spread(
        cls, pairs: Sequence[Pair], count: int, scorer: Scorer, instrument: str | None = None
    ) -> "MeanHaaqi":
        """Choose `count` pairs, evenly spaced among the pairs whose scene contains the instrument.

        Raises:
            InputError: no scene contains the instrument.
        """
        pairs = [
            pair
            for pair in pairs
            if instrument is None
            or instrument in {s.instrument for s in pair.scene.track.sources.values()}
        ]
        if not pairs:
            raise InputError(
                f"haaqi_pairs: there is no pair whose scene contains "
                f"{instrument or 'any instrument'}, expected at least one pair"
            )
        count = min(count, len(pairs))
        chosen = [pairs[number * len(pairs) // count] for number in range(count)]
        return cls(chosen, scorer, instrument)

    def __call__(self, model: Network) -> float:
        """Return the mean HAAQI over pairs and ears after a network has separated the mixtures."""
        rate_hz = int(self.scorer.hearing_aid.sample_rate_hz)
        scores = []
        for pair in self.pairs:
            mixture = read_excerpt(pair.scene.track.mixture, rate_hz)
            stems = self._separated(model, mixture, pair.scene.track, rate_hz)
            scores.append(self._score(mixture, stems, pair))
        return float(np.mean(scores))

    def after_steps(
        self,
        separator: Separator,
        candidates: Sequence[Sequence[Step]],
        progress: Callable = iter,
    ) -> NDArray[np.float64]:
        """Measure the mean HAAQI over pairs and ears for each of several lists of processing steps.

        Args:
            separator: separator of the mixtures. Each mixture is separated only once.
            candidates: lists of steps to compare. If several lists begin with the same steps, these
                steps are computed only once.
            progress: function that wraps the pairs with a progress bar, such as tqdm.

        Returns:
            The mean HAAQI of each list of steps, an array (candidates,).
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
                        known[done] = after_steps([step], mixture, stems, rate_hz)
                sums[number] += self._score(mixture, known[(*steps,)], pair)
        return sums / len(self.pairs)

    def _score(self, mixture: NDArray[np.float32], stems: Stems, pair: Pair) -> float:
        """Return the mean HAAQI of both ears for a mixture (2, samples) and its stems."""
        rate_hz = int(self.scorer.hearing_aid.sample_rate_hz)
        remix = rebalance(mixture, stems, pair.scene, ConsistentRemix())
        enhanced = self.scorer.hearing_aid(remix, pair.listener)
        ears = self.scorer.score(self.scorer.reference(pair.scene), enhanced, rate_hz, pair)
        return float(np.mean([ear.score for ear in ears]))

    def _separated(
        self, model: Network, mixture: NDArray[np.float32], track: Track, rate_hz: int
    ) -> Stems:
        """Separate a mixture by the network; use ground truth stems for all other players."""
        device = next(model.parameters()).device
        if self.instrument is None:
            separate_all = OneForAll(lambda: model, rate_hz, Segments(), device)
            names = output_names(track.sources.values())
            return share_out(separate_all(mixture, names), track.sources)
        stems = Oracle(rate_hz).separate(mixture, track.sources)
        own = {
            key: source
            for key, source in track.sources.items()
            if source.instrument == self.instrument
        }
        separate_one = OnePerInstrument(lambda _: model, rate_hz, Segments(), device)
        estimates = separate_one(mixture, output_names(own.values()))
        return {**stems, **share_out(estimates, own)}
