import platform
import subprocess
import sys

import numpy as np
import pytest

from cmss.machine import memory

FAULTS = """
import resource
import numpy as np
from cmss.machine.memory import keep_freed_memory

{call}
np.ones(2**24)  # 128 MB
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    np.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(call: str) -> int:
    command = [sys.executable, "-c", FAULTS.format(call=call)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a choice of the GNU C library")
def test_memory_that_was_freed_is_taken_again():
    """Allocate 128 MB four times; a page has 4 kB, or 2 MB if the system uses huge pages."""
    assert page_faults("assert keep_freed_memory()") < page_faults("") / 10


@pytest.mark.parametrize("arrays", [1, 2])
def test_large_arrays_keep_what_is_written(monkeypatch, arrays):
    monkeypatch.setattr(memory, "IN_MEMORY", 1000)
    array = memory.large_array((2, 100), arrays)
    assert isinstance(array, np.memmap) == (arrays == 2)
    assert not array.any()
    array[:, 10:20] += 1
    memory.release(array)
    array[1, 15] += 1
    memory.release(array[:, :50])
    assert array.sum() == 21
