"""Pairs as of `load_pairs`, without files."""

from pathlib import Path

from cmss.scenes import Audiogram, Compression, Ear, Excerpt, Listener, Pair, Scene, Source, Track

ENSEMBLES = {
    "quartet": ["Violin", "Violin", "Viola", "Cello"],
    "reeds": ["Oboe", "Clarinet", "Bassoon"],
    "duo": ["Flute", "Cello"],
}


def make_track(name: str, duration_s: float = 1.0) -> Track:
    def excerpt(stem: str) -> Excerpt:
        return Excerpt(Path(name, f"{stem}.flac"), 0.0, duration_s)

    sources = {
        f"source_{number}": Source(f"source_{number}", instrument, None, excerpt(instrument))
        for number, instrument in enumerate(ENSEMBLES[name], start=1)
    }
    return Track(name, sources, excerpt("Mixture"))


def make_listener(listener_id: str) -> Listener:
    ear = Ear(
        Audiogram((250.0, 500.0, 1000.0, 2000.0, 4000.0, 6000.0), (30.0,) * 6),
        Compression((250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0), (2.0,) * 6, (5.0,) * 6),
    )
    return Listener(listener_id, ear, ear)


def make_pairs(
    listener_ids: tuple[str, ...] = ("L5002", "L5001"), duration_s: float = 1.0
) -> list[Pair]:
    """Return three scenes (quartet, reeds, duo), each for all listeners."""
    return [
        Pair(
            Scene(f"S5000{number}", track, dict.fromkeys(track.sources, 0.0)),
            make_listener(listener_id),
        )
        for number, track in enumerate((make_track(name, duration_s) for name in ENSEMBLES), 1)
        for listener_id in listener_ids
    ]
