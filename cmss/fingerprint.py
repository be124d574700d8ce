"""Fingerprints of results: a run that continues detects when inputs or settings have changed.

A fingerprint is a line of `part=digest`: one part for each section of the configuration, network
and input that shapes the result. A file counts by its content, wherever it lies; what only says
where or how fast to work, such as a number of processes, has no part. enhance.py writes the
fingerprint of each FLAC into its comment, evaluate.py that of each score into fingerprints.csv.
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

# 64 bits: enough to tell what was changed, and short enough to be read and compared by eye.
DIGITS = 16
_PART = re.compile(rf"([\w.]{{1,64}})=([0-9a-f]{{{DIGITS}}})", re.ASCII)
INPUTS = ("mixture", "references", "scene", "listener", "enhanced")
"""Parts that may differ from pair to pair; all others are those of the system as a whole."""
ORIGIN = "origin"
"""In place of all parts of a result that states none."""
ERROR, REDO = "error", "redo"
"""Values of `on_change`."""

Fingerprints = Mapping[str, str]
"""Name of a pair -> fingerprint; empty for a result that has none, of unknown origin."""


def fingerprint(parts: Mapping[str, Any]) -> str:
    """The line that stands for these parts.

    Args:
        parts: name, without a space or an equals sign -> what JSON can hold.
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
    """Fingerprints of the enhanced files of pairs.

    Args:
        pairs: what is enhanced.
        sounds: gives the digests of their mixtures.
        references: whether the separator reads the true stems.
        system: settings that shape every file; left out, the inputs alone are stated.
        weights: instrument -> digests of the weights that its estimates come from.
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
    """Fingerprints of the stems of tracks, by their names.

    Args:
        tracks: what is separated.
        sounds: gives the digests of their mixtures.
        references: whether the separator reads the true stems.
        separator: settings that shape all stems; left out, the inputs alone are stated.
        weights: as for :func:`of_enhanced`.
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
    """What the estimates of a track come from, beside the settings."""
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
    """Fingerprints of the scores of pairs.

    Args:
        pairs: what is scored.
        sounds: gives the digests of their stems and enhanced files.
        folder: the run's folder.
        settings: those that shape every score; left out, the inputs alone are stated.
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
    """The content of an excerpt, wherever its file lies."""
    return [sounds.digest(excerpt.path), *excerpt.span(sounds.sample_rate_hz)]


def _scene(pair: Pair) -> list[Any]:
    gains_db = pair.scene.gains_db
    return [
        [source.id, source.instrument, source.voice, gains_db[source.id]]
        for source in pair.scene.track.sources.values()
    ]


def _ears(pair: Pair) -> tuple[Ear, Ear]:
    return pair.listener.left, pair.listener.right


# Comparing.

Changes = Mapping[str, Sequence[str]]
"""Part -> names of the pairs whose results it makes out of date."""


def changes(found: Fingerprints, wanted: Fingerprints) -> Changes:
    """Which parts of what is wanted are stated otherwise, or not at all, by results that are there.

    Args:
        found: of the results.
        wanted: of the same pairs as they would come out now; pairs in one of both are passed over.
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
    """Parts of the system in which results differ that should come from one."""
    first: dict[str, str] = {}
    differing: dict[str, list[str]] = {}
    for name, line in found.items():
        for part, digest in _parts(line).items():
            if part not in INPUTS and first.setdefault(part, digest) != digest:
                differing.setdefault(part, []).append(name)
    return differing


def _parts(line: str) -> dict[str, str]:
    """Nothing from a comment that is another program's."""
    matches = map(_PART.fullmatch, line.split(" "))
    return {match[1]: match[2] for match in matches if match}


def described(changed: Changes) -> str:
    """Changes in words: each part, with how many pairs and which is the first."""
    return ", ".join(
        f"{part} ({len(names)}: {min(names)}{', ...' if len(names) > 1 else ''})"
        for part, names in sorted(changed.items())
    )


def outdated(where: Path, changed: Changes, on_change: str) -> set[str]:
    """Return the pairs whose results are outdated and have to be replaced.

    Args:
        where: the results, for the message.
        changed: what has changed.
        on_change: "redo", or "error" to stop where there is any.

    Raises:
        InputError: there is, and one has to choose.
    """
    if changed and on_change != REDO:
        raise InputError(
            f"{where}: produced with different inputs or settings: {described(changed)}; "
            "on_change=redo replaces these results, another path.exp_folder keeps them"
        )
    return {name for names in changed.values() for name in names}
