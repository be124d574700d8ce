"""`import cmss`: fast, and every public name works, whatever else is imported."""

import subprocess
import sys

import cmss
from tests.support.source_tree import ROOT, files

SLOW = ("torch", "scipy", "pandas", "hydra", "matplotlib", "numpy", "numba")


def python(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done.stdout


def test_import_loads_no_large_library():
    program = f"import sys, cmss; dir(cmss); print(*[m for m in {SLOW} if m in sys.modules])"
    assert python(program).split() == []


def test_dir_lists_the_public_names():
    assert set(cmss.__all__) <= set(dir(cmss))
    assert len(cmss.__all__) >= 6


def test_public_names_collide_with_no_module():
    modules = {(path.parent if path.name == "__init__.py" else path).stem for path in files("cmss")}
    assert modules.isdisjoint(cmss.__all__)


CALLS = """
import importlib, pkgutil, numpy as np
import cmss

for found in pkgutil.walk_packages(cmss.__path__, "cmss."):
    importlib.import_module(found.name)

rate, audiogram = 44100, [20, 20, 30, 45, 60, 70]
mixture = 0.1 * np.random.default_rng(0).standard_normal((rate // 2, 2))
arguments = {
    "separate": (mixture, rate, ["Violin", "Cello"], "nmf"),
    "rebalance": (mixture, {"Violin": mixture}, {"Violin": 6}),
    "amplify": (mixture, rate, audiogram),
    "score": (mixture, mixture, rate, audiogram),
    "list_separators": (),
    "InputError": ("wrong",),
}
assert arguments.keys() == set(cmss.__all__)
for name, values in arguments.items():
    if name == "separate":
        *values, separator = values
        cmss.separate(*values, separator=separator)
    else:
        getattr(cmss, name)(*values)
    print(name)
"""


def test_every_public_name_can_be_called_after_importing_every_module():
    assert python(CALLS).split() == [
        "separate",
        "rebalance",
        "amplify",
        "score",
        "list_separators",
        "InputError",
    ]


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(cmss, "seperate")
