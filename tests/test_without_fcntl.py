"""Everything can be imported and run where Python lacks what it has only on Unix, as on Windows.

The libraries are imported first, because they check the name of the system instead.
"""

from tests.support.source_tree import ROOT, files
from tests.support.stages import run_python, succeeded
from tests.support.tiny_challenge import TinyChallenge
from tests.support.tiny_run import write_metadata

WITHOUT = """
import os
import select
import signal
import sys
from importlib import import_module

modules, calls, libraries = sys.argv[1].split(), sys.argv[2].split(";"), sys.argv[3].split()
for name in ("fcntl", "resource", "pwd", "grp", "termios", "pty", "syslog"):
    sys.modules[name] = None  # now `import fcntl` raises ImportError
for name in libraries:
    import_module(name)
for module, names in {
    os: "fork forkpty register_at_fork sched_getaffinity sched_setaffinity getuid geteuid getgid "
        "getloadavg uname sysconf posix_fallocate statvfs fchown chown nice setsid getpgid killpg "
        "mkfifo O_DIRECTORY O_NOFOLLOW O_NONBLOCK",
    signal: "SIGKILL SIGHUP SIGPIPE SIGQUIT SIGUSR1 SIGALRM alarm setitimer pthread_sigmask",
    select: "poll epoll",
}.items():
    for name in names.split():
        delattr(module, name)

from cmss.commands.program import main

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


LIBRARIES = (
    "clarity.enhancer.compressor", "filelock", "huggingface_hub", "hydra", "jinja2", "julius",
    "lxml.etree", "matplotlib.pyplot", "numba", "pandas", "partitura", "PIL.Image", "pydantic",
    "pyloudnorm", "safetensors.torch", "scipy.signal", "soundfile", "soxr", "torch", "tqdm",
)  # fmt: skip


def test_all_modules_and_the_stages_run_without_unix(tmp_path):
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
    done = succeeded(
        run_python(
            "-c", WITHOUT, " ".join(modules), ";".join(calls), " ".join(LIBRARIES), cwd=tmp_path
        )
    )
    assert [line for line in done.stdout.splitlines() if line[:2] == "> "] == [
        "> enhance 0",
        "> evaluate 0",
        "> merge 0",
    ], done.stderr
    assert f"{tmp_path}/exp: this file system has no locks" in done.stderr
    assert (tmp_path / "exp/submission_T000_noncausal.zip").is_file()
    assert not list((tmp_path / "exp").rglob("*.lock"))
