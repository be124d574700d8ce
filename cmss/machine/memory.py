"""Keeps freed memory for reuse, and stores large arrays on disk."""

import ctypes
import math
import mmap
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

IN_MEMORY = 2**29
"""Largest total size in bytes of the arrays that :func:`large_array` keeps in memory."""


def keep_freed_memory() -> bool:
    """Make the C library keep freed memory, and reuse this memory for large blocks.

    By default, the GNU C library requests each block above 32 MB from the operating system, and
    returns the block when it is freed. The system clears each page of a new block, which takes
    longer than most operations on a tensor. A process that keeps freed memory is faster, but the
    memory of this process never shrinks.

    Returns:
        Whether the setting has been changed; False if the C library does not have this setting.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library or system
        return False
    # The keys are M_TRIM_THRESHOLD, M_MMAP_MAX and M_ARENA_MAX in glibc's malloc.h. All threads
    # share an arena, because the arenas of threads other than the main thread return their memory.
    results = [mallopt(key, value) for key, value in ((-1, 2**31 - 1), (-4, 0), (-8, 1))]
    return all(results)


def give_back_memory() -> None:
    """Return freed memory to the operating system, if the C library supports this.

    Freed arrays of different sizes leave gaps between the arrays that are still in use. Without
    this function, a process that keeps freed memory would grow with each recording.
    """
    with suppress(AttributeError, OSError, TypeError):  # not glibc, or not Linux
        ctypes.CDLL(None).malloc_trim(0)


def large_array(shape: Sequence[int], arrays: int = 1) -> NDArray[np.float32]:
    """Return an array of zeros, in memory or on disk.

    The array is on disk if its size times `arrays` exceeds :data:`IN_MEMORY`. The file of the array
    has no name, and is deleted together with the array. The file is in the folder for temporary
    files, which the environment variable TMPDIR sets.

    Args:
        shape: shape of the array.
        arrays: number of arrays of this shape that are needed at the same time.

    Raises:
        OSError: there is no space on the disk.
    """
    size = 4 * math.prod(shape)
    if arrays * size <= IN_MEMORY:
        return np.zeros(shape, np.float32)
    with tempfile.TemporaryFile() as file:
        try:
            file.truncate(size)
            if hasattr(os, "posix_fallocate"):
                # If the disk were full later, a write to the array would kill the process.
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            error.filename = tempfile.gettempdir()
            raise
        return np.memmap(file, np.float32, "r+", shape=tuple(shape))


def release(array: NDArray[np.float32]) -> None:
    """Free the memory pages of an array that :func:`large_array` has stored on disk.

    Values that are not on the disk yet remain in the cache of the operating system, which is not
    part of the memory of the process. If :func:`large_array` has stored the array in memory, this
    function does nothing.
    """
    base = array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):  # not on Windows
        base.madvise(mmap.MADV_DONTNEED)
