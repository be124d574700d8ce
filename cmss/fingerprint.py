"""Computes fingerprints of results, to detect whether inputs or settings have changed.

A fingerprint is a text of entries `name=digest`. Everything that affects the result has an entry:
each section of the configuration, each network and each input. Settings that do not affect results,
such as the number of processes, have no entry. The digest of a file depends on the content of the
file, not on the path. enhance.py writes the fingerprint of each enhanced signal into the comment
tag of the FLAC file. evaluate.py writes the fingerprint of each score to fingerprints.csv.
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

# 16 hexadecimal digits (64 bits) suffice to detect changes, and can be compared by eye.
DIGITS = 16
_PART = re.compile(rf"([\w.]{{1,64}})=([0-9a-f]{{{DIGITS}}})", re.ASCII)
ORIGIN = "origin"
"""Name that stands in messages for the changes of a result without a fingerprint."""

Fingerprints = Mapping[str, str]
"""Dict from the name of a pair or track to the fingerprint, which may be empty."""


def fingerprint(parts: Mapping[str, Any]) -> str:
    """Compute a fingerprint.

    Args:
        parts: dict from the name of each entry to its value. Names have no space and no equals
            sign; values can be written as JSON.
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
    """Compute the fingerprint of the enhanced file of each pair of scene and listener.

    Args:
        pairs: pairs of scene and listener.
        sounds: reader that computes the digests of mixtures and stems.
        references: whether the separator reads the ground truth stems.
        system: settings that affect all enhanced files. If `system` is None, the fingerprints
            contain no settings.
        weights: dict from an instrument to the digests of the weights with which the instrument is
            estimated.

    Returns:
        Dict from the name of a pair to the fingerprint.
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
        tracks: tracks whose stems are estimated.
        sounds: reader that computes the digests of mixtures and stems.
        references: whether the separator reads the ground truth stems.
        separator: settings that affect all stems. If `separator` is None, the fingerprints contain
            no settings.
        weights: dict from an instrument to the digests of the weights with which the instrument is
            estimated.

    Returns:
        Dict from the name of a track to the fingerprint.
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
    """Return the parts of a fingerprint for the inputs and weights that affect the stems."""
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
        pairs: pairs of scene and listener that are scored.
        sounds: reader that computes the digests of stems and enhanced files.
        folder: folder of the run.
        settings: settings that affect all scores. If `settings` is None, the fingerprints contain
            no settings.

    Returns:
        Dict from the name of a pair to the fingerprint.
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
    """Return the digest of an excerpt's sound file, and the start and the end of the excerpt."""
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
"""Dict from the name of an entry that has changed to the names of the outdated pairs."""


def changes(found: Fingerprints, wanted: Fingerprints) -> Changes:
    """Compare the fingerprints of existing results with fingerprints for the present settings.

    Args:
        found: fingerprints of the existing results.
        wanted: fingerprints for the present inputs and settings. Entries that are missing in
            `wanted` are not compared. Pairs that are missing in `found` or in `wanted` are not
            compared either.
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
    """Return the entries of the system that differ between results but should be equal."""
    # Entries of inputs may differ between pairs; all other entries belong to the system.
    inputs = ("mixture", "references", "scene", "listener", "enhanced")
    first: dict[str, str] = {}
    differing: dict[str, list[str]] = {}
    for name, line in found.items():
        for part, digest in _parts(line).items():
            if part not in inputs and first.setdefault(part, digest) != digest:
                differing.setdefault(part, []).append(name)
    return differing


def _parts(line: str) -> dict[str, str]:
    """Split a fingerprint into a dict from name to digest; for other texts, the dict is empty."""
    matches = map(_PART.fullmatch, line.split(" "))
    return {match[1]: match[2] for match in matches if match}


def described(changed: Changes) -> str:
    """Return a text with each change, its number of outdated pairs and the name of the first."""
    return ", ".join(
        f"{part} ({len(names)}: {min(names)}{', ...' if len(names) > 1 else ''})"
        for part, names in sorted(changed.items())
    )


def outdated(where: Path, changed: Changes, on_change: str) -> set[str]:
    """Return the names of the pairs whose results are outdated.

    Args:
        where: path of the results, for the message.
        changed: changes since the results were produced.
        on_change: action for outdated results. "redo" returns the names of the pairs, so that the
            results are computed again. "error" raises an error.

    Raises:
        InputError: there are outdated results, and `on_change` is "error".
    """
    if changed and on_change != "redo":
        raise InputError(
            f"{where}: produced with different inputs or settings: {described(changed)}; "
            "on_change=redo replaces these results, another path.exp_folder keeps them"
        )
    return {name for names in changed.values() for name in names}
