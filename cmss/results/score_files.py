"""Writes the score files of a shard; after an interruption, the next run adds missing rows."""

import math
from collections.abc import Sequence
from pathlib import Path

from cmss.files.row_file import RowFile
from cmss.fingerprint import Fingerprints, changes, outdated
from cmss.results.rows import ComponentRow, FingerprintRow, ScoreRow, shard_path
from cmss.scenes import Pair


class ScoreFiles:
    """Manages the files of a shard with scores, components and fingerprints.

    If the files exist already, the rows with the expected fingerprints are kept.

    Args:
        folder: the run's folder.
        wanted: expected fingerprint of each pair of this run.
        batch: index of the shard, from 0.
        batch_size: number of shards.
        on_change: what to do with existing rows that were produced with different inputs or
            settings, or belong to other pairs: "redo" drops these rows, "error" raises an error.

    Raises:
        InputError: there are rows with other fingerprints and `on_change` is "error", or the files
            are not tables of scores. In both cases, nothing is written.
    """

    def __init__(
        self,
        folder: Path,
        wanted: Fingerprints,
        batch: int = 0,
        batch_size: int = 1,
        on_change: str = "error",
    ) -> None:
        def path(table: str) -> Path:
            return shard_path(folder, table, batch, batch_size)

        self._components = RowFile(path("components"), ComponentRow)
        self._fingerprints = RowFile(path("fingerprints"), FingerprintRow)
        self._scores = RowFile(path("scores"), ScoreRow)
        found = self._found()
        changed = dict(changes(found, wanted))
        if others := sorted(found.keys() - wanted.keys()):
            changed["pairs"] = others
        stale = outdated(self._scores.path, changed, on_change)
        done = {key for key, row in self._scores.rows.items() if row.pair in found.keys() - stale}
        for file in (self._scores, self._components, self._fingerprints):
            file.keep(done)

    def _found(self) -> Fingerprints:
        """Return the fingerprints of the pairs that have a row in all three files of the shard."""
        scores, prints = self._scores.rows, self._fingerprints.rows
        if not (self._components.path.exists() and self._fingerprints.path.exists()):
            # Another program has written these scores. Give these scores an empty fingerprint,
            # which differs from every expected fingerprint. So these scores are dropped only with
            # on_change=redo.
            return {row.pair: "" for row in scores.values()}
        # If a run was killed between two writes, only some of the files have the row of a pair.
        complete = scores.keys() & self._components.rows.keys() & prints.keys()
        return {prints[key].pair: prints[key].fingerprint for key in complete}

    @property
    def rows(self) -> list[ScoreRow]:
        """All scores in the file, including the scores of earlier runs."""
        return list(self._scores.rows.values())

    def mean(self) -> float:
        """Return the mean HAAQI of all pairs in the file (mean of both ears); NaN for no pairs."""
        scores = [row.avg_haaqi for row in self._scores.rows.values()]
        return sum(scores) / len(scores) if scores else math.nan

    def has(self, pair: Pair) -> bool:
        """Return whether this pair has a score."""
        return (pair.scene.id, pair.listener.id) in self._scores.rows

    def append(
        self, scores: ScoreRow, components: ComponentRow, fingerprint: FingerprintRow
    ) -> None:
        """Write the rows of a pair to the three files, and flush the files to disk.

        Args:
            scores: HAAQI of the pair.
            components: components of HAAQI of the pair.
            fingerprint: fingerprint of the scores of the pair.

        Raises:
            ValueError: a score is NaN or infinite, or the pair has a score already.
        """
        # Write the scores last, so that a pair counts as scored only when all rows are written.
        self._components.append(components)
        self._fingerprints.append(fingerprint)
        self._scores.append(scores)

    def put_in_order(self, pairs: Sequence[Pair]) -> None:
        """Sort the rows of all files in the order of the pairs."""
        keys = [(pair.scene.id, pair.listener.id) for pair in pairs]
        for file in (self._components, self._fingerprints, self._scores):
            file.put_in_order(keys)
