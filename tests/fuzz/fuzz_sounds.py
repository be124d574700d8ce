"""Every reader of sound, with files that are cut anywhere or have changed bytes.

Half-read is what a reader gives of a file that was cut, with other samples than those of the whole
file and without a word.
"""

import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from cmss.audio import (
    Excerpt,
    read_excerpt,
    read_header,
    read_sound,
    read_stereo,
)
from cmss.command_line import exit_status
from cmss.listen.processing import read_mixture
from cmss.rendering.notes import read_bank
from metadata_tools.notes.sound_files import samples_bank
from tests.fuzz.targets import Target
from tests.support.sounds import KINDS, RATE_HZ, music

SECONDS = 0.6


class HalfReadError(Exception):
    """A reader gave other samples than the whole file's, and said nothing."""


def _whole_excerpt(path: Path) -> np.ndarray:
    rate_hz = read_header(path).sample_rate_hz
    return read_excerpt(Excerpt(path, 0.1, SECONDS - 0.2), rate_hz)


def _as_note(path: Path, bank: Callable[[Path], Any]) -> np.ndarray:
    """The file as a sample library's only note, or as the note of a folder with notes.csv."""
    (place := Path("notes") / "Cello").mkdir(parents=True, exist_ok=True)
    target = place / f"A3{path.suffix}"
    target.write_bytes(path.read_bytes())
    (Path("notes") / "notes.csv").write_text(
        "instrument,file,midi,cents,dynamic,source\n"
        f"Cello,Cello/{target.name},57,0.0,f,made here\n",
        encoding="utf-8",
    )
    if bank is samples_bank:
        (Path("notes") / "notes.csv").unlink()
    (note,) = bank(Path("notes"))["Cello"]
    return note.samples


READERS: dict[str, Callable[[Path], Any]] = {
    "read_header": read_header,
    "read_excerpt": _whole_excerpt,
    "read_sound": lambda path: read_sound(path)[0],
    "read_stereo": lambda path: read_stereo(path)[0],
    "read_mixture": read_mixture,
    "metadata_tools.samples": partial(_as_note, bank=samples_bank),
    "metadata_tools.notes": partial(_as_note, bank=read_bank),
}


def write_sounds(folder: Path) -> dict[str, bytes]:
    """A sound in every format."""
    folder.mkdir(parents=True)
    sound = music(round(SECONDS * RATE_HZ))
    files = {f"{name}{kind.suffix}": kind.make(sound) for name, kind in KINDS.items()}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return files


@st.composite
def _spoilt(draw: st.DrawFn, sizes: dict[str, int]) -> dict[str, Any]:
    name = draw(st.sampled_from(sorted(sizes)))
    size = sizes[name]
    place = st.integers(0, size - 1) | st.integers(0, 128) | st.integers(1, 64).map(size.__sub__)
    changes = {"reader": draw(st.sampled_from(sorted(READERS))), "file": name}
    if draw(st.booleans()):
        return {**changes, "cut": min(draw(place), size - 1), "bytes": []}
    change = st.tuples(place, st.integers(0, 255) | st.sampled_from((0, 1, 127, 128, 255)))
    return {**changes, "cut": None, "bytes": draw(st.lists(change, min_size=1, max_size=4))}


def _silently(reader: Callable[[Path], Any], path: Path) -> Any:
    """The unspoilt file's samples: None if this reader refuses the format as a whole."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        saved, sys.stderr = sys.stderr, None
        try:
            return reader(path)
        except Exception:
            return None
        finally:
            sys.stderr = saved


def sound_target(template: Path) -> Target:
    """The target of sounds.

    Args:
        template: a folder to write the unspoilt files to.
    """
    files = write_sounds(template)

    def prepare(spoilt: dict[str, Any], folder: Path) -> None:
        data = bytearray(files[spoilt["file"]])
        for place, value in spoilt["bytes"]:
            data[min(place, len(data) - 1)] = value
        (folder / spoilt["file"]).write_bytes(data[: spoilt["cut"]])

    def work(spoilt: dict[str, Any]) -> int:
        reader = READERS[spoilt["reader"]]
        given = []

        def read() -> str:
            given.append(reader(Path(spoilt["file"])))
            return ""

        # What it says goes to a file, as does what the process has said before.
        before = sys.stderr.tell() if sys.stderr.seekable() else 0
        status = exit_status(read)
        is_silent = not sys.stderr.seekable() or sys.stderr.tell() == before
        if status == 0 and spoilt["cut"] is not None and isinstance(given[0], np.ndarray):
            whole = _silently(reader, template / spoilt["file"])
            if whole is not None and is_silent and not np.array_equal(whole, given[0]):
                raise HalfReadError(f"{given[0].shape} of {whole.shape}")
        return status

    return Target(
        "sounds",
        _spoilt({name: len(data) for name, data in files.items()}),
        prepare,
        work,
        lambda spoilt: "{} {} {}".format(
            spoilt["reader"], spoilt["file"], "cut" if spoilt["cut"] is not None else "bytes"
        ),
    )
