"""The files of one shard, taken up where an earlier run ended."""

import math
from collections.abc import Sequence
from pathlib import Path

from cmss.fingerprint import ERROR, Fingerprints, changes, outdated
from cmss.results.rows import ComponentRow, FingerprintRow, ScoreRow, shard_path
from cmss.row_file import RowFile
from cmss.scenes import Pair


class ScoreFiles:
    """Scores, components and fingerprints of one shard.

    Rows of an earlier run stay if they would come out the same now.

    Args:
        folder: the run's folder.
        wanted: fingerprints of the scores of all pairs that this run is about.
        batch: which shard, from 0.
        batch_size: the number of shards.
        on_change: what to do where earlier rows were made from something else, or are of other
            pairs: "redo" drops them, "error" stops.

    Raises:
        InputError: there are such rows, and one has to choose; or files of these names hold
            something else. Nothing is written then.
    """

    def __init__(
        self,
        folder: Path,
        wanted: Fingerprints,
        batch: int = 0,
        batch_size: int = 1,
        on_change: str = ERROR,
    ) -> None:
        def of(kind: str) -> Path:
            return shard_path(folder, kind, batch, batch_size)

        self._components = RowFile(of("components"), ComponentRow)
        self._fingerprints = RowFile(of("fingerprints"), FingerprintRow)
        self._scores = RowFile(of("scores"), ScoreRow)
        found = self._found()
        changed = dict(changes(found, wanted))
        if others := sorted(found.keys() - wanted.keys()):
            changed["pairs"] = others
        stale = outdated(self._scores.path, changed, on_change)
        done = {key for key, row in self._scores.rows.items() if row.pair in found.keys() - stale}
        for file in (self._scores, self._components, self._fingerprints):
            file.keep(done)

    def _found(self) -> Fingerprints:
        """Of the rows that are in all three files."""
        scores, made_from = self._scores.rows, self._fingerprints.rows
        if not (self._components.path.exists() and self._fingerprints.path.exists()):
            # Written by another program: its rows are not to be lost unasked.
            return {row.pair: "" for row in scores.values()}
        # A run killed between two files left a row in one of them.
        whole = scores.keys() & self._components.rows.keys() & made_from.keys()
        return {made_from[key].pair: made_from[key].fingerprint for key in whole}

    @property
    def rows(self) -> list[ScoreRow]:
        """What has been scored so far, by this run and earlier ones."""
        return list(self._scores.rows.values())

    def mean(self) -> float:
        """Mean HAAQI of both ears over what has been scored so far; NaN before the first."""
        scores = [row.avg_haaqi for row in self._scores.rows.values()]
        return sum(scores) / len(scores) if scores else math.nan

    def has(self, pair: Pair) -> bool:
        """Whether this pair is scored already."""
        return (pair.scene.id, pair.listener.id) in self._scores.rows

    def append(
        self, scores: ScoreRow, components: ComponentRow, fingerprint: FingerprintRow
    ) -> None:
        """Add one pair; it is on disk when this returns.

        Raises:
            ValueError: a score is NaN or infinite, or the pair is there already.
        """
        self._components.append(components)
        self._fingerprints.append(fingerprint)
        self._scores.append(scores)

    def put_in_order(self, pairs: Sequence[Pair]) -> None:
        """Order the rows as the pairs, whatever was scored first."""
        keys = [(pair.scene.id, pair.listener.id) for pair in pairs]
        for file in (self._components, self._fingerprints, self._scores):
            file.put_in_order(keys)
