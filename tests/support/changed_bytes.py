"""A tiny data folder whose metadata have some bytes changed, and the commands that read it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from cmss.errors import InputError
from cmss.scenes import MetadataPaths, load_pairs, load_tracks
from cmss.text import read_table
from metadata_tools import scenes, validate
from metadata_tools.challenge.writer import write_metadata, write_track

SPLIT = "valid"
TRACKS = {"canon_000": ("Flute", "Bassoon"), "fugue_000": ("Violin_1", "Violin_2", "Cello")}
NAMES = (
    "gains.json",
    "gains_meta.json",
    *(
        f"{kind}.{SPLIT}.json"
        for kind in ("music", "scenes", "scene_listeners", "listeners", "compressor_params")
    ),
    "pairs.csv",
)
"""Files in metadata/ that are changed."""

_REPLACEMENTS = st.one_of(
    st.binary(max_size=4),
    st.sampled_from(
        [
            b"",
            b"\0",
            b"\xff\xfe",
            b"\xef\xbb\xbf",
            b"\r",
            b'"',
            b"{",
            b"[",
            b"]",
            b"null",
            b"-",
            b"1e999",
            b"NaN",
            b"../",
            b"\\ud800",
            b",",
            b":",
            b"0",
            b"9" * 30,
        ]
    ),
)
CHANGES = st.lists(
    st.tuples(st.sampled_from(NAMES), st.floats(0, 1), st.integers(0, 6), _REPLACEMENTS),
    min_size=1,
    max_size=4,
)
"""Each: file, place from its beginning (0) to its end (1), bytes taken out and bytes put in."""

Change = tuple[str, float, int, bytes]


def write_data(root: Path) -> Path:
    """A data folder with two tracks of a second, which is whole and valid."""
    rng = np.random.default_rng(0)
    tracks = []
    for name, labels in TRACKS.items():
        stems = {label: 0.1 * rng.standard_normal((2, 44100)) for label in labels}
        tracks.append(write_track(root, SPLIT, name, stems, "Made"))
    write_metadata(root, tracks, seed=1, scenes_per_track=1, listeners_per_scene=1, listeners=2)
    (root / "metadata" / NAMES[-1]).write_text("scene,listener\nS50001,L5001\n")
    return root


@contextmanager
def changed(root: Path, changes: list[Change]) -> Iterator[None]:
    """Change the files while the block lasts."""
    folder = root / "metadata"
    whole = {path: path.read_bytes() for path in folder.iterdir()}
    try:
        for name, place, out, put in changes:
            data = (folder / name).read_bytes()
            start = round(place * len(data))
            (folder / name).write_bytes(data[:start] + put + data[start + out :])
        yield
    finally:
        for path, data in whole.items():
            path.write_bytes(data)


def read_all(root: Path) -> None:
    """Run what reads the folder; each ends well, with a status, or with an InputError.

    Any other exception is a fault, and gets out.
    """
    paths = MetadataPaths.of(root, SPLIT)
    assert validate.main([str(root), "--quick"]) in (0, 2)
    assert scenes.main([str(root), "--split", SPLIT, "--overwrite"]) in (0, 2)
    for read in (
        lambda: load_pairs(paths),
        lambda: load_tracks(paths.music_file, paths.music_dir),
        lambda: read_table(root / "metadata" / NAMES[-1], ("scene", "listener")),
    ):
        try:
            read()
        except InputError as error:
            if not error.problems or any("\n" in line for line in error.problems):
                raise AssertionError(error.problems) from error
