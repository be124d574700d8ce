"""A minimal General MIDI SoundFont: one looped sine for some programs.

It follows the SoundFont 2.04 specification.
"""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

RATE_HZ = 44100
ROOT_KEY = 69
PERIOD = 100  # samples: 441 Hz, four cents above the root key

INSTRUMENT, KEYS, SAMPLE, LOOP = 41, 43, 53, 54


def write(path: Path, programs: Sequence[int], highest_key: int = 127) -> None:
    """Write a SoundFont in which all programs are the same sine, up to some key."""
    time = np.arange(20 * PERIOD)
    wave = np.round(12000 * np.sin(2 * np.pi * time / PERIOD)).astype("<i2")
    info = _chunk(b"ifil", struct.pack("<HH", 2, 4)) + _chunk(b"isng", b"EMU8000\0")
    info += _chunk(b"INAM", b"Tiny\0\0")
    sound = _chunk(b"smpl", wave.tobytes() + bytes(2 * 46))
    path.write_bytes(
        _chunk(b"RIFF", b"sfbk" + _list(b"INFO", info) + _list(b"sdta", sound)
               + _list(b"pdta", _hydra(sorted(programs), len(wave), highest_key)))
    )  # fmt: skip


def _hydra(programs: Sequence[int], samples: int, highest_key: int) -> bytes:
    """Return the nine tables from programs to the sample; each ends with a terminal row."""
    presets = [
        struct.pack("<20sHHHLLL", b"Sine", program, 0, number, 0, 0, 0)
        for number, program in enumerate(programs)
    ]
    presets.append(struct.pack("<20sHHHLLL", b"EOP", 0, 0, len(programs), 0, 0, 0))
    bags = [struct.pack("<HH", number, 0) for number in range(len(programs) + 1)]
    generators = [struct.pack("<HH", INSTRUMENT, 0)] * len(programs) + [bytes(4)]
    instrument = struct.pack("<20sH", b"Sine", 0) + struct.pack("<20sH", b"EOI", 1)
    # The range of keys has to come first, the sample last.
    own = struct.pack("<HBB", KEYS, 0, highest_key) + struct.pack("<HH", LOOP, 1)
    own += struct.pack("<HH", SAMPLE, 0) + bytes(4)
    header = struct.pack(
        "<20sLLLLLBbHH", b"Sine", 0, samples, 5 * PERIOD, 15 * PERIOD, RATE_HZ, ROOT_KEY, 0, 0, 1
    )
    return b"".join(
        (
            _chunk(b"phdr", b"".join(presets)),
            _chunk(b"pbag", b"".join(bags)),
            _chunk(b"pmod", bytes(10)),
            _chunk(b"pgen", b"".join(generators)),
            _chunk(b"inst", instrument),
            _chunk(b"ibag", struct.pack("<HHHH", 0, 0, 3, 0)),
            _chunk(b"imod", bytes(10)),
            _chunk(b"igen", own),
            _chunk(b"shdr", header + struct.pack("<20s26x", b"EOS")),
        )
    )


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<L", len(content)) + content + bytes(len(content) % 2)


def _list(name: bytes, content: bytes) -> bytes:
    return _chunk(b"LIST", name + content)
