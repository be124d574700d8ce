"""Trainings that are interrupted between two steps."""


class Stopped(Exception):
    """Interruption by Ctrl-C, a crash or a power failure."""


def stop_after(count: int):
    """Return a progress bar that interrupts the training after `count` steps."""

    def progress(steps):
        for number, step in enumerate(steps):
            if number == count:
                raise Stopped
            yield step

    return progress
