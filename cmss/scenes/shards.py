"""How pairs are shared out among jobs: by track, since separation depends on the track alone."""

from collections.abc import Iterable, Sequence

from cmss.scenes.records import Pair, Track


def by_track(pairs: Iterable[Pair]) -> list[tuple[Track, list[Pair]]]:
    """Pairs grouped by track, both in the order of their first appearance."""
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair.scene.track.name, []).append(pair)
    return [(group[0].scene.track, group) for group in groups.values()]


def shard(pairs: Sequence[Pair], batch: int, batch_size: int) -> list[Pair]:
    """The pairs of one job, in the order given.

    Every track belongs to one job, so that no two separate the same one; with fewer tracks than
    jobs some have nothing to do.

    Args:
        pairs: all pairs.
        batch: which job, from 0.
        batch_size: the number of jobs (the official name of this setting).
    """
    mine = {track.name for track, _ in by_track(pairs)[batch::batch_size]}
    return [pair for pair in pairs if pair.scene.track.name in mine]
