"""Memory: freed memory is kept and reused, and large arrays are stored on disk."""

import ctypes
import math
import mmap
import tempfile
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

IN_MEMORY = 2**29
"""Greatest size in bytes of arrays that :func:`large_array` keeps in memory."""


def keep_freed_memory() -> bool:
    """Make the C library keep freed memory, and reuse it for large blocks.

    By default the GNU C library requests each block above 32 MB from the system, and returns it
    when it is freed. The system clears each page of a new block, which takes longer than most
    operations on a tensor. The disadvantage of the setting is that the process keeps its largest
    size.

    Returns:
        Whether the C library has this setting; other C libraries are left unchanged.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library or system
        return False
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX in glibc's malloc.h
    return bool(mallopt(mmap_max, 0)) and bool(mallopt(trim_threshold, 2**31 - 1))


def give_back_memory() -> None:
    """Give freed memory back to the system, where the C library can.

    Arrays of many sizes leave holes between those that stay. Without this call, a process that
    keeps its memory grows with each recording.
    """
    with suppress(AttributeError, OSError, TypeError):  # not glibc, or not Linux
        ctypes.CDLL(None).malloc_trim(0)


def large_array(shape: Sequence[int], arrays: int = 1) -> NDArray[np.float32]:
    """Return an array of zeros, on disk if all such arrays together exceed :data:`IN_MEMORY`.

    The file has no name, and is deleted with the array. It is in the folder for temporary files,
    which TMPDIR sets.

    Args:
        shape: of the array.
        arrays: number of such arrays that are needed together.

    Raises:
        OSError: there is no space on the disk.
    """
    size = 4 * math.prod(shape)
    if arrays * size <= IN_MEMORY:
        return np.zeros(shape, np.float32)
    with tempfile.TemporaryFile() as file:
        file.truncate(size)
        return np.memmap(file, np.float32, "r+", shape=tuple(shape))


def release(array: NDArray[np.float32]) -> None:
    """Write an array of :func:`large_array` to disk if it belongs there, and free its memory."""
    base = array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    if isinstance(base, mmap.mmap):
        base.flush()
        if hasattr(base, "madvise"):  # not on Windows
            base.madvise(mmap.MADV_DONTNEED)
