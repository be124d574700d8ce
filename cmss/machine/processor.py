"""What the processor is, what it can do, and how much of it this process may use."""

import os
import platform
from contextlib import suppress
from pathlib import Path


def cores() -> int:
    """Cores that this process may use; not every system can restrict them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """The processor's name and cores, as in "AMD EPYC, 2 cores"."""
    name = _said("model name") or platform.processor() or platform.machine()
    return f"{name}, {cores()} cores"


def has_bfloat16() -> bool:
    """Whether it multiplies bfloat16; true where the system does not say what it can do."""
    can = (_said("flags") or _said("Features")).split()
    return not can or not {"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"}.isdisjoint(can)


def _said(key: str) -> str:
    """What Linux says of the first core; empty elsewhere."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        said = [line.partition(":")[2].strip() for line in lines if line.startswith(key)]
        return said[0] if said else ""
    return ""
