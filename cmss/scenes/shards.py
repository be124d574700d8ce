"""Distribution of pairs among jobs: by track, because separation depends only on the track."""

from collections.abc import Iterable, Sequence

from cmss.scenes.records import Pair, Track


def by_track(pairs: Iterable[Pair]) -> list[tuple[Track, list[Pair]]]:
    """Group pairs by track, both in the order of their first appearance."""
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair.scene.track.name, []).append(pair)
    return [(group[0].scene.track, group) for group in groups.values()]


def shard(pairs: Sequence[Pair], batch: int, batch_size: int) -> list[Pair]:
    """Return the pairs of a job, in the given order.

    Each track belongs to a single job, so that no track is separated twice. If there are fewer
    tracks than jobs, some jobs have no pairs.

    Args:
        pairs: all pairs.
        batch: index of the job, from 0.
        batch_size: number of jobs (the official name of this setting).
    """
    mine = {track.name for track, _ in by_track(pairs)[batch::batch_size]}
    return [pair for pair in pairs if pair.scene.track.name in mine]
