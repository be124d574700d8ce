"""Writes and reads material as a packed file.

A packed file is a NumPy .npz file without pickled objects. The samples of the notes have 16 bits.
zlib compresses the second differences of the samples without loss. A packed file that contains
works or pitches of the test sets is refused.
"""

import json
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmss.errors import InputError
from cmss.files.atomic import write_bytes
from cmss.rendering.material import Line, Material, Tone, Work

_VERSION = 1


def packed(material: Material) -> bytes:
    """Return the content of a packed file; identical material results in identical files."""
    tones = [(name, tone) for name, found in material.tones.items() for tone in found]
    header = {
        "version": _VERSION,
        "rate_hz": material.rate_hz,
        "pitches": material.pitches,
        "left_out": material.left_out,
        "origin": material.origin,
        "tones": [
            [name, t.library, t.midi, t.cents, t.dynamic, len(t.samples), t.attack, t.sustain_end]
            for name, t in tones
        ],
        "works": [
            [work.name, [len(part.onset) for part in work.parts], len(work.tempi)]
            for work in material.works
        ],
    }
    lines = [part for work in material.works for part in work.parts]
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(line, name) for line in lines])
        for name in ("onset", "duration", "midi", "level_db", "marks")
    }
    arrays["tempi"] = np.concatenate([work.tempi for work in material.works])
    arrays["samples"] = np.frombuffer(_compressed([tone.samples for _, tone in tones]), np.uint8)
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    content = BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def save_material(material: Material, path: Path) -> None:
    """Write material to a packed file."""
    write_bytes(path, packed(material))


def load_material(path: Path) -> Material:
    """Read a packed file.

    Raises:
        InputError: the file cannot be read, or contains works or pitches of the test sets.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        header = json.loads(arrays["header"].tobytes())
        if header["version"] != _VERSION:
            raise ValueError(f"version {header['version']}, expected {_VERSION}")
        material = _unpacked(header, arrays)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # damaged bytes may raise any exception
        reason = str(error).strip() or type(error).__name__
        raise InputError(f"{path}: not a file of metadata_tools.pack ({reason})") from error
    material.check(str(path))
    return material


def _unpacked(header: dict, arrays: dict[str, np.ndarray]) -> Material:
    lengths = [row[5] for row in header["tones"]]
    signals = _decompressed(arrays["samples"].tobytes(), lengths)
    tones: dict[str, list[Tone]] = {}
    for (name, library, midi, cents, dynamic, _, attack, end), signal in zip(
        header["tones"], signals, strict=True
    ):
        tone = Tone(library, midi, cents, dynamic, signal, attack, end)
        tones.setdefault(name, []).append(tone)
    works, first, mark = [], 0, 0
    for name, notes, marks in header["works"]:
        lines = []
        for count in notes:
            part = slice(first, first + count)
            columns = ("onset", "duration", "midi", "level_db", "marks")
            lines.append(Line(*(arrays[column][part] for column in columns)))
            first += count
        works.append(Work(name, tuple(lines), arrays["tempi"][mark : mark + marks]))
        mark += marks
    kept = {name: tuple(found) for name, found in tones.items()}
    return Material(
        rate_hz=header["rate_hz"],
        tones=kept,
        works=tuple(works),
        pitches=header["pitches"],
        left_out=header["left_out"],
        origin=header["origin"],
    )


def _compressed(signals: Sequence[NDArray[np.int16]]) -> bytes:
    """Compress the second differences of signals; all low bytes precede all high bytes."""
    differences = [np.diff(signal, n=2, prepend=np.zeros(2, np.int16)) for signal in signals]
    joined = np.concatenate(differences).astype(np.int16)
    # Map signed numbers to unsigned numbers. Numbers near zero remain small (zigzag encoding).
    folded = (joined.astype(np.int32) << 1) ^ (joined.astype(np.int32) >> 15)
    return zlib.compress(folded.astype("<u2").view(np.uint8).reshape(-1, 2).T.tobytes(), 9)


def _decompressed(content: bytes, lengths: Sequence[int]) -> list[NDArray[np.int16]]:
    """Undo :func:`_compressed`.

    Both the differences and the sums wrap around at 16 bits (modulo 2^16), so the samples are
    restored exactly.
    """
    planes = np.frombuffer(zlib.decompress(content), np.uint8).reshape(2, -1)
    folded = np.ascontiguousarray(planes.T).view("<u2")[:, 0].astype(np.int32)
    differences = ((folded >> 1) ^ -(folded & 1)).astype(np.int16)
    if sum(lengths) != len(differences):
        raise ValueError(f"{len(differences)} samples, expected {sum(lengths)}")
    return [
        np.cumsum(np.cumsum(part, dtype=np.int16), dtype=np.int16)
        for part in np.split(differences, np.cumsum(lengths)[:-1])
    ]
