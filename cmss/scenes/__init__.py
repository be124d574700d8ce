"""Loads the challenge's metadata as frozen records of scenes, listeners and tracks.

The function :func:`load_pairs` joins the entries of the six JSON files, and checks everything to
which the scenes refer, including the sound files. All problems are reported together, before a run
starts.

Only this package knows the keys of the JSON files, and the rule that splits the scenes into train,
valid and test. Other packages import all names from `cmss.scenes`, not from its modules.
"""

from cmss.audio import Excerpt
from cmss.scenes.loading import MetadataPaths, load_audiograms, load_pairs, load_tracks
from cmss.scenes.naming import canonical, named_players
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
    "canonical",
    "level_warning",
    "level_warnings",
    "load_audiograms",
    "load_pairs",
    "load_tracks",
    "named_players",
    "shard",
    "unusual_hearing",
]
