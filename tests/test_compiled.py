"""Compiled functions have the same results whether they are compiled now or come from the cache."""

import importlib
import pkgutil

import pytest
from numba.core.dispatcher import Dispatcher

import cmss
from tests.support.stages import run_python, succeeded

PROGRAM = """
import numpy as np

from cmss.hearing.haaqi.synchrony import covariances, motion_level_db, segment_count, SEGMENT
from cmss.results.bss_eval import framewise_ratios

draw = np.random.default_rng(0)
x, y = draw.standard_normal((2, 40001))
wanted = np.ones(segment_count(len(x), SEGMENT), bool)
print(motion_level_db(x).tobytes().hex())
print(covariances(x, x + 0.3 * y, wanted).tobytes().hex())
stems = draw.standard_normal((2, 2, 16000))
noise = 0.1 * draw.standard_normal(stems.shape)
print(framewise_ratios(stems, stems + noise, 8000).tobytes().hex())
"""


def compiled_functions() -> dict[str, Dispatcher]:
    """All compiled functions of the package, by module and name."""
    found = {}
    for module in pkgutil.walk_packages(cmss.__path__, "cmss."):
        if module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, Dispatcher):
                found[f"{value.py_func.__module__}.{name}"] = value
    return found


def called(function: Dispatcher) -> list[Dispatcher]:
    """The compiled functions whose names stand in the code of a function."""
    python = function.py_func
    values = [python.__globals__.get(name) for name in python.__code__.co_names]
    return [value for value in values if isinstance(value, Dispatcher)]


def test_a_called_function_with_fastmath_is_inlined():
    functions = compiled_functions()
    inner = [each for function in functions.values() for each in called(function)]
    fast = [each for each in inner if each.targetoptions.get("fastmath")]
    assert len(functions) > 20
    assert len(fast) >= 4  # two in the synchrony, two in BSS Eval
    for function in fast:
        assert function.targetoptions.get("forceinline"), function.py_func.__qualname__


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """What two processes print: the first compiles, and the second loads from its cache."""
    folder = tmp_path_factory.mktemp("cache")
    env = {"NUMBA_CACHE_DIR": str(folder)}
    return [succeeded(run_python("-c", PROGRAM, cwd=folder, env=env)).stdout for _ in range(2)]


def test_results_from_the_cache_are_those_of_the_first_process(outputs):
    assert outputs[0] == outputs[1]
