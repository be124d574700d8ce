from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
from omegaconf import OmegaConf

from cmss.audio import write_flac
from cmss.errors import InputError
from cmss.settings import check_fields, check_values
from tests.support.stages import ROOT


@pytest.fixture
def config():
    """Values of config.yaml, with a profile and a separator."""
    loaded = OmegaConf.load(ROOT / "cmss/conf" / "config.yaml")
    own = {key: OmegaConf.to_container(loaded)[key] for key in loaded if key != "defaults"}
    separator = {"name": "oracle", "causality": "noncausal"}
    return {**own, "profile": "default", "separator": separator}


def test_the_default_values_are_of_their_kind(config):
    check_values(config)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("soft_clip", "no"),
        ("input_sample_rate", "44.1k"),
        ("remix_sample_rate", 0),
        ("remix_sample_rate", 10**12),
        ("remix_sample_rate", 65537),
        ("input_sample_rate", 191_999),
        ("HAAQI_sample_rate", 24000.5),
        ("evaluate.set_random_seed", "off"),
        ("evaluate.small_test", "maybe"),
        ("evaluate.small_test", 1),
        ("evaluate.pairs", 7),
        ("evaluate.batch_size", 0),
        ("evaluate.batch", -1),
        ("evaluate.batch", "0"),
        ("evaluate.jobs", 0),
        ("submission.team", 1),
        ("submission.supplement", None),
        ("on_change", "ask"),
        ("split", ""),
        ("separator.causality", "late"),
        ("separator.members", {"name": "oracle"}),
    ],
)
def test_a_value_of_another_kind_is_named_by_its_key(config, key, value):
    *section, name = key.split(".")
    (config[section[0]] if section else config)[name] = value
    with pytest.raises(InputError) as caught:
        check_values(config)
    (line,) = caught.value.problems
    assert line.startswith(f"{key}: ")
    assert line.endswith(f"got {value!r}")


@pytest.mark.parametrize("rate_hz", [22051, 65535, 65540, 88200, 192000])
def test_sampling_rates_of_flac_files_are_accepted_and_can_be_written(config, rate_hz, tmp_path):
    config["input_sample_rate"] = config["remix_sample_rate"] = rate_hz
    check_values(config)
    write_flac(tmp_path / "sound.flac", np.zeros((2, 100)), rate_hz)


def test_all_of_them_are_named_together(config):
    config["soft_clip"] = config["evaluate"]["jobs"] = config["submission"]["team"] = 1.5
    with pytest.raises(InputError) as caught:
        check_values(config)
    keys = [line.split(":")[0] for line in caught.value.problems]
    assert keys == ["soft_clip", "evaluate.jobs", "submission.team"]


@dataclass
class Radio:
    frequency_hz: float
    band: Literal["medium", "short"] = "medium"
    aerial_m: float | None = None


def test_fields_of_a_dataclass_are_its_settings():
    check_fields("radio", {"frequency_hz": 6_000_000, "aerial_m": None, "band": "short"}, Radio)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"volume": 11}, "radio.volume: no such setting, expected one of frequency_hz, band, aer"),
        ({"frequency_hz": "6 MHz"}, "radio.frequency_hz: Input should be a valid number, got '6 M"),
        ({"frequency_hz": True}, "radio.frequency_hz: Input should be a valid number, got True"),
        ({"band": "long"}, "radio.band: Input should be 'medium' or 'short', got 'long'"),
    ],
)
def test_other_settings_are_refused(settings, message):
    with pytest.raises(InputError) as caught:
        check_fields("radio", settings, Radio)
    (line,) = caught.value.problems
    assert line.startswith(message)
