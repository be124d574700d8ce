"""The challenge's metadata as frozen records: scenes, listeners and splits.

`load_pairs` is the entry point. It joins the six JSON files by key, checks everything to which the
scenes refer, sound files included, and reports all problems at once, before anything runs.

Only this package knows the JSON keys (`files`, `loading`) and the rule that splits scenes into
train, valid and test (`records`). Import its names from here.
"""

from cmss.audio import Excerpt
from cmss.scenes.loading import MetadataPaths, load_audiograms, load_pairs, load_tracks
from cmss.scenes.records import (
    DOUBLED,
    INSTRUMENTS,
    STRINGS,
    Audiogram,
    Compression,
    Ear,
    Listener,
    Pair,
    Scene,
    Source,
    Split,
    Track,
    by_track,
    shard,
)
from cmss.scenes.sound_files import SoundFiles
from cmss.scenes.unusual import EXPECTED_LUFS, level_warning, level_warnings, unusual_hearing

__all__ = [
    "DOUBLED",
    "EXPECTED_LUFS",
    "INSTRUMENTS",
    "STRINGS",
    "Audiogram",
    "Compression",
    "Ear",
    "Excerpt",
    "Listener",
    "MetadataPaths",
    "Pair",
    "Scene",
    "SoundFiles",
    "Source",
    "Split",
    "Track",
    "by_track",
    "level_warning",
    "level_warnings",
    "load_audiograms",
    "load_pairs",
    "load_tracks",
    "shard",
    "unusual_hearing",
]
