"""JSON and CSV files with changed bytes, or with a value of another type at any place."""

import json
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from cmss.command_line import exit_status
from cmss.errors import InputError
from cmss.files.row_file import read_rows
from cmss.files.text import read_table
from cmss.rendering.notes import read_notes_csv
from cmss.results.rows import ComponentRow, FingerprintRow, ScoreRow
from cmss.scenes import MetadataPaths, load_audiograms, load_pairs, load_tracks
from metadata_tools import scenes, validate
from metadata_tools.challenge.gains_and_listeners import gain_pool
from tests.fuzz.fuzz_recipes import call
from tests.fuzz.targets import Target

METADATA = tuple(
    f"data/metadata/{name}.json"
    for name in (
        "gains", "listeners.valid", "compressor_params.valid", "music.valid", "scenes.valid",
        "scene_listeners.valid", "music.train", "gains_meta",
    )
)  # fmt: skip
RUN = tuple(
    f"exp/{name}"
    for name in (
        "scores.csv", "components.csv", "fingerprints.csv", "provenance.json", "config.yaml",
    )
)  # fmt: skip
READERS: dict[str, tuple[tuple[str, ...], Callable[[Path], Any]]] = {
    "metadata_tools.validate": (METADATA, lambda _: validate.main(["data"])),
    "metadata_tools.scenes": (
        METADATA, lambda _: scenes.main(["data", "--split", "valid", "--overwrite"]),
    ),
    "read_table": (("pairs.csv",), lambda path: read_table(path, ("scene", "listener"))),
    "load_pairs": (METADATA, lambda _: load_pairs(_paths(), 44100)),
    "load_tracks": (METADATA[3:4], lambda path: load_tracks(path, Path("data/audio"))),
    "load_audiograms": (("audiogram.json", METADATA[1]), load_audiograms),
    "evaluate.pairs": (
        ("pairs.csv",),
        lambda path: call(
            "enhance", "path.root=data", "path.exp_folder=new", "separator=passthrough",
            f"evaluate.pairs={path}",
        ),
    ),
    "scores": (RUN[:1], lambda path: read_rows(path, ScoreRow)),
    "components": (RUN[1:2], lambda path: read_rows(path, ComponentRow)),
    "fingerprints": (RUN[2:3], lambda path: read_rows(path, FingerprintRow)),
    "evaluate.py": (RUN, lambda _: call("evaluate", "evaluate.jobs=1")),
    "merge_results.py": (RUN, lambda _: call("merge_results", "report=false")),
    "read_notes_csv": (("notes/notes.csv",), lambda path: read_notes_csv(path.parent)),
}  # fmt: skip
"""Name -> files that are spoilt by turns, and what reads them."""

PIECES = (
    b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"\r", b"\r\n", b'"', b",", b";", b"{", b"[", b"]", b"}",
    b"NaN", b"Infinity", b"1e999", b"null", b"-", b"\xe9", b"\\", b"\\ud800", b"9" * 5000,
    b"[" * 5000, b":", b"0", b"../",
)  # fmt: skip
VALUES = (
    None, True, False, 0, 1, -1, 10**30, -(10**400), 0.5, -1e308, float("nan"), float("inf"),
    1e-320, "", "x", " ", "../x", "x/y", "/proc/none", "ünï", "\n", "\x1b[31m", "\ud800", "L5001",
    "1", [], [1], ["x"], [None], [[]], {}, {"x": 1}, {"": None},
)  # fmt: skip


def _paths() -> MetadataPaths:
    names = (
        "gains_file", "listeners_file", "enhancer_params_file", "music_file", "scenes_file",
        "scene_listeners_file",
    )  # fmt: skip
    files = dict(zip(names, map(Path, METADATA), strict=False))
    return MetadataPaths(music_dir=Path("data/audio"), **files)


def _places(node: Any, path: tuple = ()) -> Iterator[tuple]:
    yield path
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _places(value, (*path, key))


def _replaced(node: Any, path: list, value: Any) -> Any:
    if not path:
        return value
    copy = node.copy()
    copy[path[0]] = _replaced(node[path[0]], path[1:], value)
    return copy


@st.composite
def _spoilt(draw: st.DrawFn, files: dict[str, bytes], readers: Collection[str]) -> dict[str, Any]:
    reader = draw(st.sampled_from(sorted(readers)))
    name = draw(st.sampled_from(READERS[reader][0]))
    data = files[name]
    spoilt = {"reader": reader, "file": name, "edits": [], "at": None, "value": None}
    if name.endswith(".json") and draw(st.booleans()):
        places = list(_places(json.loads(data)))
        spoilt["at"] = list(draw(st.sampled_from(places)))
        spoilt["value"] = draw(st.sampled_from(VALUES))
        return spoilt
    edit = st.tuples(
        st.integers(0, len(data)),
        st.sampled_from((0, 0, 1, 1, 2, 20, len(data))),
        (st.binary(max_size=2) | st.sampled_from(PIECES)).map(bytes.hex),
    )
    spoilt["edits"] = draw(st.lists(edit, min_size=1, max_size=3))
    return spoilt


def _read_well(read: Callable[[Path], Any], path: Path) -> Any:
    """What is read; what is refused is refused in lines."""
    try:
        return read(path)
    except InputError as error:
        if not error.problems or any("\n" in line for line in error.problems):
            raise AssertionError(error.problems) from error
        raise


def text_target(template: Path, readers: Collection[str] = READERS) -> Target:
    """The target of JSON and CSV files.

    Args:
        template: as written by :func:`tests.fuzz.fuzz_recipes.write_template`; some are added.
        readers: names of those to call.
    """
    listeners = json.loads((template / METADATA[1]).read_text(encoding="utf-8"))
    (template / "audiogram.json").write_text(json.dumps(listeners["L5001"]), encoding="utf-8")
    pool = gain_pool(np.random.default_rng(0), sources=(2, 3))
    (template / "data/metadata/gains_meta.json").write_text(json.dumps(pool), encoding="utf-8")
    for name in ("Cello/A3.wav", "Oboe/A4.wav"):
        (template / "notes" / name).parent.mkdir(parents=True, exist_ok=True)
        (template / "notes" / name).touch()
    (template / "notes/notes.csv").write_text(
        "instrument,file,midi,cents,dynamic,source\n"
        "Cello,Cello/A3.wav,57,1.5,f,made here\nOboe,Oboe/A4.wav,69,-2.5,p,made here\n",
        encoding="utf-8",
    )
    names = {name for files, _ in READERS.values() for name in files}
    files = {name: (template / name).read_bytes() for name in names}

    def prepare(spoilt: dict[str, Any], folder: Path) -> None:
        shutil.copytree(template, folder, dirs_exist_ok=True)
        data = files[spoilt["file"]]
        if spoilt["at"] is not None:
            data = json.dumps(_replaced(json.loads(data), spoilt["at"], spoilt["value"])).encode()
        for place, removed, inserted in spoilt["edits"]:
            data = data[:place] + bytes.fromhex(inserted) + data[place + removed :]
        (folder / spoilt["file"]).write_bytes(data)

    def work(spoilt: dict[str, Any]) -> int:
        _, read = READERS[spoilt["reader"]]
        if "." in spoilt["reader"]:  # a program, which ends by itself
            return read(Path(spoilt["file"]))
        return exit_status(lambda: str(bool(_read_well(read, Path(spoilt["file"])))))

    return Target(
        "texts",
        _spoilt(files, readers),
        prepare,
        work,
        lambda spoilt: f"{spoilt['reader']} {spoilt['file']}",
    )
