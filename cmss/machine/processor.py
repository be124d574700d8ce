"""Finds the name, the instructions and the number of cores of the processor."""

import os
import platform
from contextlib import suppress
from pathlib import Path


def cores() -> int:
    """Return the number of cores that this process may use."""
    # Systems other than Linux may lack this function; there a process may use all cores.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """Return the name and number of cores of the processor, for example "AMD EPYC, 2 cores"."""
    name = _cpu_info("model name") or platform.processor() or platform.machine()
    return f"{name}, {cores()} cores"


def has_bfloat16() -> bool | None:
    """Return whether the processor has instructions for bfloat16; None if this is unknown."""
    features = (_cpu_info("flags") or _cpu_info("Features")).split()
    bfloat16 = {"avx512_bf16", "amx_bf16", "bf16"}
    return not bfloat16.isdisjoint(features) if features else None


def _cpu_info(key: str) -> str:
    """Return an entry of /proc/cpuinfo for the first core; "" if the entry or file is missing."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        values = [line.partition(":")[2].strip() for line in lines if line.startswith(key)]
        return values[0] if values else ""
    return ""
