"""Headers of weights files do not show the folders of the author's machine."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from cmss.models.weights_file import read_weights
from cmss.run.forms import without_folders

WEIGHTS = sorted(Path(str(files("cmss.weights"))).glob("*.safetensors"))


def configuration(begun, cache, member, one, two):
    """Configuration with these paths, and with other values that look like paths."""
    return {
        "init_from": begun,
        "separator": {
            "name": "ensemble",
            "cache": cache,
            "members": [{"name": "roformer", "weights_from": member, "weight": 0.7}],
            "steps": [{"name": "postfilter", "weights_from": "second_small"}],
        },
        "path": {"more": [one, two], "pack": None},
        "model": "a/b",
    }


def test_only_paths_change_and_only_by_their_folders():
    given = configuration(
        "/home/someone/weights/a.safetensors",
        "~/kept/estimates",
        "../b.safetensors",
        "/data/one",
        "/data/two",
    )
    expected = configuration("a.safetensors", "estimates", "b.safetensors", "one", "two")
    assert without_folders(given) == expected
    assert without_folders("/home/b.safetensors", "separator.weights_from") == "b.safetensors"


@pytest.mark.parametrize("path", WEIGHTS, ids=lambda path: path.stem)
def test_packaged_weights_name_no_folder(path):
    header = "\n".join(read_weights(path)[1].values())
    assert not re.search(r"(^|[\s\"'=:\[])(/|~|[A-Z]:\\)\w", header)
