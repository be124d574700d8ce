"""Fingerprints of results, by which a run detects that its inputs or settings have changed.

A fingerprint is a line of parts `name=digest`, one for each section of the configuration, network
and input that affects the result. The digest of a file depends on its content, not on its path.
Settings that do not affect results, such as the number of processes, have no part. enhance.py
writes the fingerprint of each FLAC into its comment, evaluate.py that of each score into
fingerprints.csv.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cmss.audio import Excerpt
from cmss.errors import InputError
from cmss.files.digests import sha256
from cmss.scenes import Ear, Pair, SoundFiles, Track

# 64 bits: enough to detect changes, and short enough to be compared by eye.
DIGITS = 16
_PART = re.compile(rf"([\w.]{{1,64}})=([0-9a-f]{{{DIGITS}}})", re.ASCII)
ORIGIN = "origin"
"""Name of the change if a result has no fingerprint."""

Fingerprints = Mapping[str, str]
"""Name of a pair or track -> fingerprint; empty for a result without a fingerprint."""


def fingerprint(parts: Mapping[str, Any]) -> str:
    """Compute the fingerprint of parts.

    Args:
        parts: dict from the name of each part, without a space or an equals sign, to a value that
            can be written as JSON.
    """
    return " ".join(f"{name}={_digest(value)}" for name, value in parts.items())


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return sha256([text.encode()])[:DIGITS]


def of_enhanced(
    pairs: Iterable[Pair],
    sounds: SoundFiles,
    references: bool,
    system: Mapping[str, Any] | None = None,
    weights: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, str]:
    """Compute the fingerprints of enhanced files.

    Args:
        pairs: pairs of the files.
        sounds: reader of the sound files, which has the digests of mixtures and stems.
        references: whether the separator reads the ground truth stems.
        system: settings that affect all files; None for fingerprints of the inputs alone.
        weights: instrument -> digests of the weights with which it is estimated.

    Returns:
        Name of a pair -> fingerprint.
    """
    return {
        pair.name: fingerprint(
            {
                **(system or {}),
                **_separated(pair.scene.track, sounds, references, weights),
                "scene": _scene(pair),
                "listener": [asdict(ear.compression) for ear in _ears(pair)],
            }
        )
        for pair in pairs
    }


def of_stems(
    tracks: Iterable[Track],
    sounds: SoundFiles,
    references: bool,
    separator: Mapping[str, Any] | None = None,
    weights: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, str]:
    """Compute the fingerprints of estimated stems.

    Args:
        tracks: tracks of the stems.
        sounds: reader of the sound files, which has the digests of mixtures and stems.
        references: whether the separator reads the ground truth stems.
        separator: settings that affect all stems; None for fingerprints of the inputs alone.
        weights: instrument -> digests of the weights with which it is estimated.

    Returns:
        Name of a track -> fingerprint.
    """
    return {
        track.name: fingerprint(
            {**(separator or {}), **_separated(track, sounds, references, weights)}
        )
        for track in tracks
    }


def _separated(
    track: Track,
    sounds: SoundFiles,
    references: bool,
    weights: Mapping[str, Sequence[str]] | None,
) -> dict[str, Any]:
    """Return the parts of the inputs and weights that affect the stems of a track."""
    sources = track.sources.values()
    networks = {
        f"weights.{name}": weights[name]
        for name in sorted({source.instrument for source in sources})
        if weights
    }
    stems = {"references": [_sound(s.excerpt, sounds) for s in sources]} if references else {}
    return {**networks, "mixture": _sound(track.mixture, sounds), **stems}


def of_scores(
    pairs: Iterable[Pair],
    sounds: SoundFiles,
    folder: Path,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Compute the fingerprints of scores.

    Args:
        pairs: pairs of the scores.
        sounds: reader of the sound files, which has the digests of stems and enhanced files.
        folder: the run's folder.
        settings: settings that affect all scores; None for fingerprints of the inputs alone.

    Returns:
        Name of a pair -> fingerprint.
    """
    common = settings or {}
    return {
        pair.name: fingerprint(
            {
                **common,
                "references": [
                    _sound(source.excerpt, sounds) for source in pair.scene.track.sources.values()
                ],
                "scene": _scene(pair),
                "listener": [asdict(ear) for ear in _ears(pair)],
                "enhanced": sounds.digest(folder / pair.enhanced_file),
            }
        )
        for pair in pairs
    }


def _sound(excerpt: Excerpt, sounds: SoundFiles) -> list[Any]:
    """Return digest, start and stop of an excerpt, which do not depend on the path of its file."""
    return [sounds.digest(excerpt.path), *excerpt.span(sounds.sample_rate_hz)]


def _scene(pair: Pair) -> list[Any]:
    gains_db = pair.scene.gains_db
    return [
        [source.id, source.instrument, source.voice, gains_db[source.id]]
        for source in pair.scene.track.sources.values()
    ]


def _ears(pair: Pair) -> tuple[Ear, Ear]:
    return pair.listener.left, pair.listener.right


# Comparison.

Changes = Mapping[str, Sequence[str]]
"""Name of a part that has changed -> names of the pairs whose results are outdated."""


def changes(found: Fingerprints, wanted: Fingerprints) -> Changes:
    """Return the parts that differ between existing results and the present inputs and settings.

    Args:
        found: fingerprints of the existing results.
        wanted: fingerprints for the present inputs and settings. Only parts in these, and only
            pairs in both, are compared.
    """
    changed: dict[str, list[str]] = {}
    for name in found.keys() & wanted.keys():
        before = _parts(found[name])
        for part, digest in _parts(wanted[name]).items():
            if not before:
                changed.setdefault(ORIGIN, []).append(name)
                break
            if before.get(part) != digest:
                changed.setdefault(part, []).append(name)
    return changed


def mixed(found: Fingerprints) -> Changes:
    """Return the parts in which results differ that should come from the same system."""
    # Parts of the inputs may differ from pair to pair; all others belong to the system.
    inputs = ("mixture", "references", "scene", "listener", "enhanced")
    first: dict[str, str] = {}
    differing: dict[str, list[str]] = {}
    for name, line in found.items():
        for part, digest in _parts(line).items():
            if part not in inputs and first.setdefault(part, digest) != digest:
                differing.setdefault(part, []).append(name)
    return differing


def _parts(line: str) -> dict[str, str]:
    """Split a fingerprint into name -> digest; empty for the comment of another program."""
    matches = map(_PART.fullmatch, line.split(" "))
    return {match[1]: match[2] for match in matches if match}


def described(changed: Changes) -> str:
    """Format changes: each part with the number of its pairs and the first of them."""
    return ", ".join(
        f"{part} ({len(names)}: {min(names)}{', ...' if len(names) > 1 else ''})"
        for part, names in sorted(changed.items())
    )


def outdated(where: Path, changed: Changes, on_change: str) -> set[str]:
    """Return the names of the pairs whose results are outdated.

    Args:
        where: path of the results, for the message.
        changed: changes of the results.
        on_change: "redo" to return the outdated results, "error" to raise if there are any.

    Raises:
        InputError: there are outdated results, and `on_change` is "error".
    """
    if changed and on_change != "redo":
        raise InputError(
            f"{where}: produced with different inputs or settings: {described(changed)}; "
            "on_change=redo replaces these results, another path.exp_folder keeps them"
        )
    return {name for names in changed.values() for name in names}
