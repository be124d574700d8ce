"""The precision of networks: chosen by the processor, and the same for all files of a run."""

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from cmss.errors import InputError
from cmss.listen.choice import separator_settings
from cmss.machine import precision
from cmss.run.configuration import record, with_precision
from cmss.run.folder import absolute_paths
from cmss.separators.builder import build_separator, build_steps
from cmss.separators.steps.chain import Stepped
from cmss.separators.steps.postfilter import PostfilterStep
from tests.support.played_set import configuration
from tests.support.separation import RATE_HZ, Fixed, convtasnet, sources, write_small
from tests.support.two_players import two_players


@pytest.fixture
def processor(monkeypatch):
    """Return a function that states whether the processor multiplies bfloat16."""

    def has(bfloat16: bool | None) -> None:
        monkeypatch.setattr(precision, "has_bfloat16", lambda: bfloat16)

    return has


@pytest.mark.parametrize(
    ("setting", "device", "bfloat16", "expected"),
    [
        ("auto", "cpu", True, "bfloat16"),
        ("auto", "cpu", False, "float32"),
        ("auto", "cpu", None, "float32"),
        ("auto", "cuda", True, "float32"),
        ("float32", "cpu", True, "float32"),
        ("bfloat16", "cpu", False, "bfloat16"),
    ],
)
def test_choice(processor, setting, device, bfloat16, expected):
    processor(bfloat16)
    assert precision.chosen_precision(setting, device) == expected


@pytest.mark.parametrize("supported", [True, False])
def test_a_training_on_a_gpu_uses_bfloat16_if_the_gpu_supports_it(monkeypatch, supported):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: supported)
    made = []
    monkeypatch.setattr(torch, "autocast", lambda *_, enabled: made.append(enabled))
    precision.autocast("auto", "cuda")
    precision.autocast("float32", "cuda")
    assert made == [supported, False]


def test_a_training_on_a_processor_without_bfloat16_multiplies_in_float32(processor):
    layer, signal = torch.nn.Linear(3, 2), torch.ones(3)
    for bfloat16, expected in ((True, torch.bfloat16), (False, torch.float32)):
        processor(bfloat16)
        with precision.autocast("auto", "cpu"):
            assert layer(signal).dtype == expected


@pytest.mark.parametrize("name", ["small", "second_small"])
def test_a_post_filter_in_bfloat16_is_near_float32(name):
    X = two_players()
    mixture, guess = X.sum(0), 0.7 * X + 0.3 * X[::-1]
    track = sources("Oboe", "Flute")
    results = []
    for kind in ("float32", "bfloat16"):
        (step,) = build_steps(
            [{"name": "postfilter", "weights_from": name}], precision=kind
        ).values()
        assert step == PostfilterStep(name, kind)
        stems = Stepped(Fixed(*guess), [step]).separate(mixture, track)
        np.testing.assert_allclose(sum(stems.values()), mixture, rtol=0, atol=1e-5)
        results.append(np.stack([*stems.values()]))
    difference = np.sum((results[1] - results[0]) ** 2) / np.sum(results[0] ** 2)
    # A mantissa of 8 bits rounds at -54 dB; seven layers follow each other.
    assert 0 < difference < 1e-4


def test_a_step_has_the_precision_of_its_separator_unless_it_sets_its_own():
    settings = {"name": "passthrough", "precision": "bfloat16"}
    steps = [
        {"name": "postfilter"},
        {"name": "postfilter", "precision": "float32"},
        {"name": "directions"},
    ]
    built = build_steps(steps, precision=settings["precision"])
    assert [getattr(step, "precision", None) for step in built.values()] == [
        "bfloat16", "float32", None,
    ]  # fmt: skip


def test_networks_choose_by_the_processor(processor, tmp_path):
    for bfloat16, expected in ((True, "bfloat16"), (False, "float32")):
        processor(bfloat16)
        assert convtasnet(write_small(tmp_path), precision="auto").precision == expected
    with pytest.raises(InputError, match=r"separator\.precision: Input should be"):
        build_separator({"name": "convtasnet", "precision": "float16"}, RATE_HZ)


def run(folder, *overrides: str) -> tuple[DictConfig, DictConfig]:
    """Return the configuration of a job before and after its precision is chosen."""
    given = absolute_paths(configuration("data", f"path.exp_folder={folder}", *overrides))
    return with_precision(given), given


def test_a_run_keeps_its_precision_on_other_processors(processor, tmp_path):
    processor(True)
    config, given = run(tmp_path)
    assert config.separator.precision == "bfloat16"
    record(config, given)
    processor(False)
    assert run(tmp_path)[0].separator.precision == "bfloat16"
    assert run(tmp_path, "separator.precision=float32")[0].separator.precision == "float32"
    assert run(tmp_path / "other")[0].separator.precision == "float32"


def test_members_have_a_precision_of_their_own(processor, tmp_path):
    processor(True)
    overrides = (
        "separator.precision=float32",
        "ensemble.members=[{name: convtasnet, precision: auto, weight: 1}]",
    )
    config, given = run(tmp_path, *overrides)
    assert config.separator.precision == "float32"
    assert config.separator.members[0].precision == "bfloat16"
    record(config, given)
    processor(False)
    assert run(tmp_path, *overrides)[0] == config


def test_jobs_on_unlike_processors_do_not_begin_the_same_run(processor, tmp_path):
    processor(True)
    first = run(tmp_path)
    processor(False)
    second = run(tmp_path)
    processor(True)
    record(*first)
    processor(False)
    with pytest.raises(InputError, match=r"precision: another job.*start this job again"):
        record(*second)
    # Started again, the job obeys.
    record(*run(tmp_path))


def test_a_damaged_configuration_is_not_obeyed(processor, tmp_path):
    processor(False)
    (tmp_path / "config.yaml").write_text("separator: [", encoding="utf-8")
    assert run(tmp_path)[0].separator.precision == "float32"


def test_stems_that_listen_keeps_belong_to_a_precision(processor, monkeypatch):
    built = []
    monkeypatch.setattr("cmss.separators.estimators.device_named", lambda _: torch.device("cpu"))
    for bfloat16, expected in ((True, "bfloat16"), (False, "float32")):
        processor(bfloat16)
        built.append(separator_settings("best"))
        assert built[-1]["precision"] == expected
    assert {**built[0], "precision": None} == {**built[1], "precision": None}
