"""A read-only package used without a home folder, as in a container or a shared installation.

Tests may be run by root, whom no permission binds. The programs then run without the capability to
override permissions, so that a folder without the permission to write binds them as everybody.
"""

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tiny_run import write_tiny_data

ROOT = Path(__file__).parents[1]
WITHOUT_CACHE = "no writable folder to cache compiled code in: "
VARIABLE = "set NUMBA_CACHE_DIR to a writable folder"

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1
"""Of prctl(2) and capabilities(7)."""

WITHOUT_USERS = """
import pwd

def nobody(number):
    raise KeyError(number)

pwd.getpwuid = nobody
"""


def bound_by_permissions() -> None:
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)


class Installation:
    """Read-only copy of the package, and a writable folder for results."""

    def __init__(self, folder: Path) -> None:
        self.package = folder / "package"
        self.out = folder / "out"
        self.out.mkdir()
        ignored = shutil.ignore_patterns("__pycache__", "*.safetensors", "*.csv")
        for name in ("cmss", "recipes", "metadata_tools"):
            shutil.copytree(ROOT / name, self.package / name, ignore=ignored)
        # Imported by every interpreter when it starts: the system does not know its user.
        (self.package / "sitecustomize.py").write_text(WITHOUT_USERS)
        write_tiny_data(folder / "data")
        self._set_mode(0o555)

    def _set_mode(self, mode: int) -> None:
        for path in (self.package, *self.package.rglob("*")):
            path.chmod(mode)

    def remove(self) -> None:
        self._set_mode(0o755)
        shutil.rmtree(self.package)

    def run(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `python ARGUMENTS` in the folder for results, with these variables only."""
        always = {"PATH": os.environ["PATH"], "PYTHONPATH": str(self.package)}
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=self.out,
            env={**always, "OMP_NUM_THREADS": "1", **environment},
            preexec_fn=bound_by_permissions,
            timeout=300,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Iterator[Installation]:
    installation = Installation(tmp_path_factory.mktemp("installation"))
    written = installation.run("-c", "open('../package/cmss/new', 'w')")
    if "PermissionError" not in written.stderr:
        pytest.skip("permissions do not bind this user, and cannot be made to")
    yield installation
    installation.remove()


@pytest.fixture
def installation(installed) -> Installation:
    """The same, with an empty folder for results."""
    shutil.rmtree(installed.out)
    installed.out.mkdir()
    return installed


WORKERS = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
import cmss.hearing.hearing_aid, cmss.hearing.haaqi.kernels

def imported(_):
    import cmss.casa.hair_cell
    return "cmss.hearing.hearing_aid" in __import__("sys").modules

if __name__ == "__main__":
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        print(all(pool.map(imported, range(4))))
"""


def test_a_program_and_its_workers_say_once_that_they_compile_anew(installation):
    (installation.out / "workers.py").write_text(WORKERS)
    done = installation.run("workers.py")
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(WITHOUT_CACHE)
    assert line.endswith(VARIABLE)
    # No folder named "~".
    assert [path.name for path in installation.out.iterdir()] == ["workers.py"]


def test_the_variable_that_it_names_gives_it_a_cache(installation):
    environment = {"HOME": "/proc/none", "NUMBA_CACHE_DIR": str(installation.out / "cache")}
    code = (
        "from cmss.casa.hair_cell import firing; import numpy as np; "
        "firing(np.zeros((1, 8)), 16000)"
    )
    done = installation.run("-c", code, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert list((installation.out / "cache").rglob("*.nbc"))


def test_a_stage_needs_no_cache_no_home_and_no_user(installation):
    recipe = installation.package / "recipes/cad2/enhance.py"
    call = recipe, "path.root=../data", "separator=passthrough"
    done = installation.run(*call, HOME="/proc/none")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0].startswith(WITHOUT_CACHE)
    assert len(list(installation.out.rglob("*.flac"))) == 8
    assert [path.name for path in installation.out.iterdir()] == ["exp"]


# The cache itself, in this process.

SOURCE = """
from cmss.machine.compiled import compiled

@compiled()
def twice(x):
    return 2 * x
"""


def imported(folder: Path):
    """Import a module with a compiled function, as another process does."""
    (folder / "doubling.py").write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("doubling", folder / "doubling.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cached(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.nb?") if path.stat().st_size]


@pytest.mark.parametrize("damage", [b"", b"garbage", b"\x80\x04\x95", b"cnowhere\nnothing\n."])
@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_a_damaged_cache_is_made_anew(tmp_path, capsys, damage, ending):
    assert imported(tmp_path).twice(21) == 42
    (path,) = tmp_path.rglob(f"*.{ending}")
    path.write_bytes(damage)
    assert imported(tmp_path).twice(21) == 42
    again = imported(tmp_path)
    assert again.twice(21) == 42
    assert sum(again.twice.stats.cache_hits.values()) == 1
    assert capsys.readouterr().err == ""


def test_a_cache_that_cannot_be_written_is_done_without_and_named_once(
    tmp_path, monkeypatch, capsys
):
    """As on a full disk; a folder stands where the cache's file should, which binds root, too."""
    assert imported(tmp_path).twice(21) == 42
    (index,) = tmp_path.rglob("*.nbi")
    index.unlink()
    index.mkdir()
    (index / "file").touch()
    monkeypatch.setattr("cmss.machine.compiled._printed", set())
    module = imported(tmp_path)
    assert (module.twice(21), module.twice(1.5)) == (42, 3.0)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{index.parent}: Is a directory: each start takes")
    assert line.endswith(VARIABLE)


def test_without_a_compiler_functions_run_as_they_are(installation):
    code = "from cmss.hearing.haaqi.vector_math import fast_log; from cmss.casa import hair_cell"
    assert installation.run("-c", code, NUMBA_DISABLE_JIT="1").stderr == ""


def test_all_kernels_are_compiled_in_one_way():
    sources = [path for name in ("cmss", "metadata_tools") for path in (ROOT / name).rglob("*.py")]
    users = {
        path.relative_to(ROOT).as_posix() for path in sources if "cache=True" in path.read_text()
    }
    assert users <= {"cmss/machine/compiled.py"}
