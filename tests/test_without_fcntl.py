"""Everything can be imported and run where Python has no fcntl, as on Windows."""

from tests.support.source_tree import ROOT, files
from tests.support.stages import run_python, succeeded
from tests.support.tiny_challenge import TinyChallenge
from tests.support.tiny_run import write_metadata

WITHOUT = """
import sys
sys.modules["fcntl"] = None  # now `import fcntl` raises ImportError
from importlib import import_module
from cmss.commands.program import main

modules, calls = sys.argv[1].split(), sys.argv[2].split(";")
for name in modules:
    import_module(name)
for words in calls:
    sys.argv = ["cmss"]
    try:
        status = main(words.split())
    except SystemExit as end:
        status = end.code
    print(">", words.split()[0], status)
"""


def test_all_modules_and_the_stages_run_without_fcntl(tmp_path):
    write_metadata(TinyChallenge(tmp_path / "data"))
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in files("cmss", "metadata_tools")
        if path.stem != "__main__" and path.stem != "soundfont"  # needs a library by hand
    ]
    calls = (
        "enhance path.root=data separator=passthrough evaluate.small_test=true",
        "evaluate evaluate.jobs=1",
        "merge report=false",
    )
    done = succeeded(run_python("-c", WITHOUT, " ".join(modules), ";".join(calls), cwd=tmp_path))
    assert [line for line in done.stdout.splitlines() if line[:2] == "> "] == [
        "> enhance 0",
        "> evaluate 0",
        "> merge 0",
    ], done.stderr
    assert f"{tmp_path}/exp: this file system has no locks" in done.stderr
    assert (tmp_path / "exp/submission_T000_noncausal.zip").is_file()
    assert not list((tmp_path / "exp").rglob("*.lock"))
