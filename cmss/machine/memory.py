"""Memory that was freed stays with the process, to be taken again."""

import ctypes

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
