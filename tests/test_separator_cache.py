"""Estimates kept on disk: as without, found again by content, and not believed blindly."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from cmss.errors import InputError
from cmss.models.checkpoint import build, save_checkpoint
from cmss.models.outputs import OUTPUTS
from cmss.separators import build_separator, cache
from cmss.separators.official_convtasnet import ConvTasNetSeparator
from tests.support.published_networks import write_networks
from tests.support.separation import RATE_HZ, noise, sources
from tests.support.small_networks import NETWORKS

PLAYERS = ("Violin_1", "Cello", "Violin_2")


class Counted:
    """How often networks were asked."""

    def __init__(self, monkeypatch) -> None:
        self.times = 0
        separate = ConvTasNetSeparator.separate

        def counting(separator, *arguments):
            self.times += 1
            return separate(separator, *arguments)

        monkeypatch.setattr(ConvTasNetSeparator, "separate", counting)


@pytest.fixture
def asked(monkeypatch):
    return Counted(monkeypatch)


@pytest.fixture
def weights(tmp_path) -> Path:
    return write_weights(tmp_path / "weights.safetensors", seed=0)


def write_weights(path: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    model, arguments = NETWORKS["convtasnet"]
    save_checkpoint(path, model, build(model, {"sources": OUTPUTS, **arguments}))
    return path


def convtasnet(weights: Path, folder: Path | None, **more):
    kept = {"cache": str(folder)} if folder else {}
    settings = {"name": "convtasnet", "weights_from": str(weights), **kept, **more}
    return build_separator(settings, RATE_HZ)


def equal(one, other):
    assert list(one) == list(other)
    for key in one:
        np.testing.assert_array_equal(one[key], other[key])


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "cache"


def test_another_run_finds_what_one_has_estimated(asked, weights, folder):
    mixture, players = noise(), sources(*PLAYERS)
    without = convtasnet(weights, None).separate(mixture, players)
    equal(convtasnet(weights, folder).separate(mixture, players), without)
    assert asked.times == 2
    moved = weights.rename(weights.with_name("moved.safetensors"))
    again = convtasnet(moved, folder, device="cpu")
    equal(again.separate(mixture, players), without)
    assert asked.times == 2
    assert again.weights.keys() == {str(moved)}


def test_whatever_shapes_an_estimate_is_told_apart(asked, weights, folder, tmp_path, monkeypatch):
    mixture, players = noise(), sources(*PLAYERS)
    others = [
        (weights, {}, mixture, players),
        (write_weights(tmp_path / "other.safetensors", seed=1), {}, mixture, players),
        (weights, {"separation": {"overlap": 0.2}}, mixture, players),
        (weights, {"voices": "whole"}, mixture, players),
        (weights, {"precision": "bfloat16"}, mixture, players),
        (weights, {}, noise(seed=1), players),
        (weights, {}, mixture, sources("Violin_1", "Oboe", "Violin_2")),
        (weights, {}, mixture, sources("Violin_2", "Cello", "Violin_1")),
    ]
    for path, settings, signal, who in others:
        convtasnet(path, folder, **settings).separate(signal, who)
    assert asked.times == len(others) == len(list(folder.iterdir()))
    monkeypatch.setattr(cache, "code_digest", lambda: "another")
    convtasnet(weights, folder).separate(mixture, players)
    assert asked.times == len(others) + 1


def test_other_tracks_before_make_no_difference(asked, tmp_path, folder):
    """Where each instrument has a network, those of this track's instruments count alone."""
    write_networks(tmp_path, ["Violin", "Cello", "Oboe"])
    mixture, players = noise(), sources("Violin", "Cello")
    first = convtasnet(tmp_path, folder)
    first.prepare(sources("Oboe", "Cello").values())
    equal(first.separate(mixture, players), convtasnet(tmp_path, folder).separate(mixture, players))
    assert asked.times == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-100] + bytes([content[-100] ^ 1]) + content[-99:],
        lambda _: b"",
        lambda _: b"no safetensors" * 100,
    ],
    ids=["cut short", "one bit", "empty", "something else"],
)
def test_a_damaged_file_is_replaced(asked, weights, folder, spoil):
    mixture, players = noise(), sources(*PLAYERS)
    whole = convtasnet(weights, folder).separate(mixture, players)
    (path,) = folder.iterdir()
    content = path.read_bytes()
    path.write_bytes(spoil(content))
    equal(convtasnet(weights, folder).separate(mixture, players), whole)
    assert asked.times == 2
    assert path.read_bytes() == content


def test_a_file_under_another_name_is_not_believed(asked, weights, folder):
    players = sources(*PLAYERS)
    convtasnet(weights, folder).separate(noise(seed=1), players)
    (other,) = folder.iterdir()
    wanted = convtasnet(weights, folder).separate(noise(), players)
    (path,) = set(folder.iterdir()) - {other}
    path.write_bytes(other.read_bytes())
    equal(convtasnet(weights, folder).separate(noise(), players), wanted)
    assert asked.times == 3


def test_what_is_not_finite_is_not_kept(asked, weights, folder):
    mixture = np.full((2, 3000), np.nan, np.float32)
    for _ in range(2):
        convtasnet(weights, folder).separate(mixture, sources(*PLAYERS))
    assert asked.times == 2
    assert not folder.exists()


def test_jobs_side_by_side_leave_one_whole_file(weights, folder):
    mixture, players = noise(), sources(*PLAYERS)
    jobs = [convtasnet(weights, folder) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        first, *rest = pool.map(lambda job: job.separate(mixture, players), jobs)
    for stems in rest:
        equal(stems, first)
    (path,) = folder.iterdir()
    assert path.suffix == ".safetensors"


def test_two_ensembles_share_a_member(asked, weights, folder):
    mixture, players = noise(), sources(*PLAYERS)
    member = {"name": "convtasnet", "weights_from": str(weights)}

    def ensemble(*members):
        settings = {"name": "ensemble", "cache": str(folder), "members": members}
        return build_separator(settings, RATE_HZ)

    alone = ensemble({**member, "weight": 1.0}).separate(mixture, players)
    halved = ensemble({**member, "weight": 0.5}, {"name": "oracle", "weight": 0.0})
    assert asked.times == 1
    for key, stem in halved.separate(mixture, players).items():
        np.testing.assert_array_equal(stem, alone[key] * np.float32(0.5))
    assert asked.times == 1


@pytest.mark.parametrize(
    ("name", "value"), [("convtasnet", 3), ("convtasnet", ""), ("oracle", "x")]
)
def test_what_is_no_cache_is_refused(name, value):
    with pytest.raises(InputError, match=r"separator\.cache"):
        build_separator({"name": name, "cache": value}, RATE_HZ)
