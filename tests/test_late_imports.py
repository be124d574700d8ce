"""Help texts and light commands do not import the libraries that take seconds to import."""

import pytest

from tests.support.source_tree import ROOT
from tests.support.stages import run_python, succeeded
from tests.support.tiny_challenge import TinyChallenge
from tests.support.tiny_run import write_metadata

CALL = """
import sys
from cmss.commands.program import main
try:
    status = main(sys.argv[1:])
except SystemExit as end:
    status = end.code
print("loaded:", *sys.modules)
sys.exit(status)
"""
SLOW = {"torch", "pandas", "matplotlib", "scipy", "numba", "hydra", "omegaconf", "clarity"}


def loaded(*words: str, cwd) -> set[str]:
    """Return the top-level names of the modules that a successful call of `cmss` imports."""
    done = succeeded(run_python("-c", CALL, *words, cwd=cwd))
    return {name.split(".")[0] for name in done.stdout.rpartition("loaded:")[2].split()}


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["models"], ["enhance", "--help"], ["train", "-h"]],
    ids=" ".join,
)
def test_help_and_lists_import_nothing_slow(words, tmp_path):
    assert not loaded(*words, cwd=tmp_path) & SLOW


def test_the_help_of_listen_imports_nothing_slow(tmp_path):
    slow = {"torch", "pandas", "matplotlib", "hydra"}
    assert not loaded("listen", "--help", cwd=tmp_path) & slow


def test_the_help_of_the_desk_imports_nothing_slow(tmp_path):
    assert not loaded("desk", "--help", cwd=tmp_path) & {*SLOW, "starlette", "uvicorn", "jinja2"}


def test_recipes_import_nothing_slow_for_their_help(tmp_path):
    program = (
        f"import runpy, sys\nsys.argv = [{str(ROOT / 'recipes/cad2/fit.py')!r}, '--help']\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally: print('loaded:', *sys.modules)"
    )
    done = succeeded(run_python("-c", program, cwd=tmp_path))
    assert done.stdout.startswith(f"Usage: python {ROOT}/recipes/cad2/fit.py path.root=DATA")
    names = {name.split(".")[0] for name in done.stdout.rpartition("loaded:")[2].split()}
    assert not names & SLOW


def test_passthrough_needs_no_networks_and_no_figures(tmp_path):
    write_metadata(TinyChallenge(tmp_path / "data"))
    words = ("path.root=data", "separator=passthrough", "evaluate.small_test=true")
    found = loaded("enhance", *words, cwd=tmp_path)
    assert not found & {"torch", "pandas", "matplotlib"}
    assert list((tmp_path / "exp").rglob("*.flac"))
