"""Every key of the three stages with values of every type: accepted, or refused by its name.

Each type is tried with one of the stages, or with all if CMSS_EXAMPLES is in the environment.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.recipe_calls import blamed, call, complaint, keys
from tests.support.tiny_challenge import TinyChallenge
from tests.support.tiny_run import write_metadata

WORDS = {
    "enhance": ("path.root=data", "separator=passthrough", "ensemble=small", "on_change=redo"),
    "evaluate": ("on_change=redo", "evaluate.jobs=1"),
    "merge_results": ("report=false", "on_change=redo"),
}
VALUES = {
    "null": "null",
    "empty": "",
    "text": "text{0:03}",
    "number": "70{0:03}",
    "fraction": "-0.5{0:03}",
    "true": "true",
    "list": "[item{0:03}]",
    "mapping": "{{name{0:03}: 1}}",
    "reference": "${{nothing{0:03}}}",
}
"""What stands in them counts the keys, so that a line about one value can be told from others."""
AT_A_TIME = 60
"""Number of keys in a call, which takes almost half a second: all keys of a stage together."""
TRIED = [
    (stage, kind)
    for turn, kind in enumerate(VALUES)
    for number, stage in enumerate(WORDS)
    if "CMSS_EXAMPLES" in os.environ or turn % len(WORDS) == number
]


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A folder with data of one pair, and a run that was enhanced, scored and merged."""
    folder = tmp_path_factory.mktemp("scored")
    tiny = TinyChallenge(folder / "data")
    tiny.files["scene_listeners_file"] = {"S50001": ["L5001"]}
    write_metadata(tiny)
    for stage, words in WORDS.items():
        ended = call(stage, *words, cwd=folder)
        assert ended.status == 0, ended
    return folder


def tried(stage: str, words: list[str], scored: Path, folder: Path) -> Iterator[str]:
    """Try words together, without those refused, until all are accepted; yield the messages."""
    while words:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(scored, folder)
        ended = call(stage, *WORDS[stage], *words, cwd=folder)
        if complained := complaint(ended, words):
            yield complained
            return
        refused = blamed(ended, words) if ended.status else words
        words = [word for word in words if word not in refused]


@pytest.mark.parametrize(("stage", "kind"), TRIED)
def test_every_key_with_values_of_every_type(stage, kind, scored, tmp_path):
    words = [
        f"{key}={VALUES[kind].format(number)}"
        for number, key in enumerate(keys(stage, *WORDS["enhance"]))
    ]
    complaints = [
        complained
        for start in range(0, len(words), AT_A_TIME)
        for complained in tried(stage, words[start : start + AT_A_TIME], scored, tmp_path / "copy")
    ]
    assert not complaints, "\n\n".join(text[-1500:] for text in complaints)
