"""Freed memory that stays with the process, and arrays that are too large for memory."""

import ctypes
import math
import mmap
import tempfile
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

IN_MEMORY = 2**29
"""Greatest size in bytes of arrays that :func:`large_array` keeps in memory."""

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Numbers of malloc.h of the GNU C library."""


def keep_freed_memory() -> bool:
    """Have the C library take large blocks from what was freed before, and keep it.

    By default the GNU C library asks the system for every block above 32 MB anew and gives it back
    when it is freed. The system clears each page before it is first touched, which costs more than
    most operations on a tensor do. The price is that the process stays as large as it once was.

    Returns:
        whether the C library has this choice; others are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc, or not Linux
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))


def large_array(shape: Sequence[int], arrays: int = 1) -> NDArray[np.float32]:
    """Return an array of zeros: on disk if it and its like exceed :data:`IN_MEMORY`.

    The file has no name, and is gone when the array is. It lies in the folder for temporary files,
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
