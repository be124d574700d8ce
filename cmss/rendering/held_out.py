"""Defines the works and the recorded pitches that are held out for testing.

Both the rendered test sets and the training on rendered mixtures use these definitions. A training
therefore never uses the works and the notes of the test sets.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

TEST_WORKS = ("Haydn",)
"""Patterns that name the works of the split test, see :func:`matches`."""
VALID_WORKS = ("Saint-Georges",)
"""Patterns that name the works of the split valid, see :func:`matches`."""
HELD_OUT_EVERY = 4
"""Distance between two held-out pitches in the sorted list of the pitches of an instrument."""


def matches(work: str, patterns: Sequence[str]) -> bool:
    """Return whether the name of a work matches one of the patterns.

    If a pattern contains `*` or `?`, the pattern is a shell pattern. Otherwise, the pattern matches
    every name that contains the pattern.
    """
    return any(
        fnmatchcase(work.lower(), (p if "*" in p or "?" in p else f"*{p}*").lower())
        for p in patterns
    )


def kept_pitches(pitches: Iterable[int], every: int, held_out: bool) -> set[int]:
    """Return either the pitches that are held out for testing, or all other pitches.

    Args:
        pitches: pitches of all notes.
        every: step from one held-out pitch to the next in the sorted list of pitches. If `every`
            is 0, no pitch is held out, and all pitches are returned for both values of `held_out`.
        held_out: True to return the held-out pitches, False to return the other pitches.
    """
    distinct = sorted(set(pitches))
    if every == 0:
        return set(distinct)
    # Start in the middle of a group, so that the lowest and highest notes stay in training.
    chosen = set(distinct[every // 2 :: every])
    return chosen if held_out else set(distinct) - chosen
