"""Trainings that are stopped between two steps."""


class Stopped(Exception):
    """Stands for Ctrl-C, a crash, a power cut."""


def stop_after(count: int):
    """A progress bar that stops the training after some steps."""

    def progress(steps):
        for number, step in enumerate(steps):
            if number == count:
                raise Stopped
            yield step

    return progress
