"""Separates a recording in a worker process of the desk, `python -m cmss.desk.worker`.

A separation can take up to a minute to react to an interruption. Therefore, the desk kills the
worker process to cancel a separation. The worker process reads the task, a line of JSON, from the
standard input, and writes lines of JSON to the standard output: first the progress, then the
problems or the warnings. When the desk ends, the standard input is closed, and the worker process
ends too.
"""

import json
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from cmss.api.audiograms import listener_of
from cmss.command_line import INTERRUPTED, reason
from cmss.desk.kept_results import RESULT, STEMS, Result
from cmss.desk.tasks import Task
from cmss.desk.uploads import check_length, named
from cmss.errors import ProblemsError
from cmss.files.atomic import write_text
from cmss.listen.choice import separator_settings
from cmss.listen.inputs import readable
from cmss.listen.kept_stems import KeptStems
from cmss.listen.mixing import make_page
from cmss.listen.processing import SAMPLE_RATE_HZ, amplified, read_mixture, separate
from cmss.listen.scene import make_scene
from cmss.pages import LONGEST_S, common_scale, write_track
from cmss.separators import build_separator

GRACE_S = 5.0
"""Time in seconds for deleting temporary files after the desk has ended."""
SEPARATION = 0.9
"""Fraction of the progress for the separation. The rest is for the hearing aid and the files."""


def work(task: Task, report: Callable[[str, float], object]) -> list[str]:
    """Separate a recording, and write the stems and the page.

    Args:
        task: recording, settings and folders.
        report: function that is called with the name of the current step and the completed
            fraction.

    Returns:
        Warnings, for example about an unusual audiogram.

    Raises:
        InputError: the recording cannot be used, or weights are missing.
        FloatingPointError: an estimate is not finite.
        OSError: a file cannot be written.
    """
    order = task.order
    report("Reading the recording", 0.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        listener = replace(listener_of((order.left, order.right)), id=order.hearing)
    with readable(task.recording) as file:
        mixture, _ = read_mixture(file)
    seconds = mixture.shape[-1] / SAMPLE_RATE_HZ
    check_length(task.recording, seconds)
    scene = make_scene(task.recording, order.instruments, [0.0] * len(order.instruments))
    settings = separator_settings(order.quality, task.separator, "--separator")
    separator = build_separator(settings, SAMPLE_RATE_HZ)
    keep = partial(KeptStems, folder=task.kept_stems, settings=settings)
    stems = separate(
        separator,
        mixture,
        scene.track,
        keep,
        lambda fraction: report("Separating", SEPARATION * fraction),
    )
    report("Computing the hearing aid", SEPARATION)
    ears = amplified(mixture, stems, scene, listener)
    report("Writing the page and the stems", (1 + SEPARATION) / 2)
    tracks = {"mixture": mixture, **{key: stems[key] for key in scene.track.sources}}
    scale = common_scale([*tracks.values()])
    for name, track in tracks.items():
        write_track(task.folder / STEMS / f"{name}.flac", track, scale, SAMPLE_RATE_HZ)
    # A page that contains its sounds opens from disk, but browsers cannot read very large pages.
    # Therefore the page of a longer recording loads its sounds from the desk.
    sounds = None if seconds <= LONGEST_S else [f"{STEMS}/{name}.flac" for name in tracks]
    make_page(task.folder, order.title, mixture, stems, ears, scene, listener, sounds)
    players = [key.replace("_", " ") for key in scene.track.sources]
    result = Result(order.title, players, order.hearing, round(time.time()), seconds)
    write_text(task.folder / RESULT, json.dumps(vars(result)))
    return [str(warning.message) for warning in caught]


def main() -> int:
    """Run the task from the standard input; return 0 if the result is complete."""
    # Text that libraries print goes to the standard error, and not between the lines of JSON.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    task = Task.from_json(sys.stdin.readline())
    threading.Thread(target=_end_with_the_desk, daemon=True).start()
    try:
        found = work(task, lambda step, fraction: say(step=step, fraction=fraction))
    except ProblemsError as error:
        say(problems=named(error.problems, task.recording, task.order.title))
    except FloatingPointError as error:
        say(problems=[str(error)])
    except MemoryError:
        say(problems=["memory exhausted; try a shorter recording"])
    except OSError as error:
        say(problems=[reason(error)])
    except KeyboardInterrupt:
        return INTERRUPTED
    else:
        say(step="Done", fraction=1.0, warnings=found)
        return 0
    return 1


def _end_with_the_desk() -> None:
    """Wait until the desk closes the standard input, then end this process."""
    # A thread that waits in sys.stdin would hold the lock of sys.stdin. Python needs this lock at
    # exit. Therefore the thread reads from the file descriptor.
    while os.read(0, 1024):
        pass
    # The signal raises KeyboardInterrupt in the main thread, which then deletes temporary files.
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE_S)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
