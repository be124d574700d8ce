"""Values in a wrong unit are refused with the likely mistake, in all inputs."""

import json
from copy import deepcopy

import pytest

from cmss import listen
from cmss.errors import InputError
from cmss.hearing.prescription import compression_from_audiogram
from metadata_tools.validate import main as validate
from tests.support.tiny_run import TinyRun, write_metadata, write_tiny_data

ME = {
    "audiogram_cfs": [250, 500, 1000, 2000, 4000, 8000],
    "audiogram_levels_l": [20, 20, 30, 45, 60, 70],
    "audiogram_levels_r": [25, 20, 35, 45, 65, 70],
}

WRONG_HEARING = {
    "audiogram_cfs": [
        ([0.25, 0.5, 1, 2, 4, 8], "look like kHz, expected Hz: 250, 500, 1000, 2000, 4000, 8000"),
        ([0.125, 500, 1000, 2000, 4000, 8000], "looks like kHz, expected Hz: 125, got 0.125"),
        ([250, 500, 1000, 2000, 4000, 80000], "expected 50 to 20000 Hz, got 80000"),
        ([-1, 500, 1000, 2000, 4000, 8000], "expected 50 to 20000 Hz, got -1"),
    ],
    "audiogram_levels_r": [
        ([25, 20, 35, 45, 65, 999], "expected -20 to 130 dB HL, got 999"),
        ([-25, -40, -45, -45, -65, -70], "look like losses with the sign reversed"),
        ([25, 20, 35, 45, -65, 70], "expected positive dB HL: 65, got -65"),
    ],
}
WRONG_AID = {
    "frequencies": [
        ([0.25, 0.5, 1, 2, 4, 8], "look like kHz"),
        ([250, 500, 1000, 2000, 4000, 24000.5], "expected 50 to 20000 Hz"),
    ],
    "cr_l": [
        ([1, 1, 1, 0.25, 1, 1], "expected input over output: 4, got 0.25"),
        ([1, 1, 1, 1, 1, -2], "expected 0.5 to 1000"),
    ],
    "gain_r": [
        ([3, 3, 3, 3, 3, 120], "expected -40 to 80 dB, got 120"),
        ([3, 3, 3, 3, -60.5, 3], "expected -40 to 80 dB, got -60.5"),
    ],
}


def cases(wrong: dict) -> list:
    return [(key, values, expected) for key, lines in wrong.items() for values, expected in lines]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_tiny_data(tmp_path_factory.mktemp("units") / "data")


@pytest.fixture(scope="module")
def run(server, data):
    return TinyRun(server, data.root.parent)


@pytest.fixture
def tiny(data):
    """A copy of the data that the test modifies."""
    before = deepcopy(data.files)
    yield data
    data.files = before
    write_metadata(data)


@pytest.mark.parametrize(("key", "values", "expected"), cases(WRONG_HEARING))
def test_an_audiogram_of_ones_own_is_refused_with_the_cause(
    tmp_path, capsys, key, values, expected
):
    (tmp_path / "me.json").write_text(json.dumps(ME | {key: values}))
    status = listen.main(["none.wav", "--instruments", "Cello", "--gains", "0",
        "--audiogram", str(tmp_path / "me.json"), "-o", str(tmp_path / "o.flac")])  # fmt: skip
    assert status == 2
    line = capsys.readouterr().err.splitlines()[0]
    assert line.startswith(f"{tmp_path}/me.json: audiogram.{key}: ")
    assert expected in line


def test_all_of_a_data_folder_is_refused_in_one_run_of_a_stage(run, tiny, capsys):
    hearing, aid = (tiny.files[name] for name in ("listeners_file", "enhancer_params_file"))
    expected = []
    for entries, wrong, name in (
        (hearing, WRONG_HEARING, "listeners"),
        (aid, WRONG_AID, "compressor_params"),
    ):
        for number, (key, values, line) in enumerate(cases(wrong)):
            listener = f"L{5100 + number}"
            expected.append((f"{name}.valid.json: {listener}.{key}: ", line))
            hearing.setdefault(listener, {**ME, "name": listener})
            aid.setdefault(listener, dict(aid["L5001"]))
            entries[listener] = {**entries[listener], key: values}
            tiny.files["scene_listeners_file"]["S50001"] += [listener]
    scene = tiny.files["scene_listeners_file"]
    scene["S50001"] = list(dict.fromkeys(scene["S50001"]))
    write_metadata(tiny)
    done = run.call("enhance")
    assert (done.status, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert len(lines) == len(expected)
    for beginning, end in expected:
        assert any(beginning in line and end in line for line in lines), (beginning, end)
    assert validate([str(run.folder / "data")]) == 2
    assert "look like kHz" in capsys.readouterr().err


def test_unusual_values_are_used_with_a_warning_for_each_quantity(run, tiny, capsys):
    for listener in ("L5001", "L5999"):
        cfs = [63, *tiny.files["listeners_file"][listener]["audiogram_cfs"][1:]]
        levels = [125, *[40] * (len(cfs) - 1)]
        tiny.files["listeners_file"][listener] |= {
            "audiogram_cfs": cfs, "audiogram_levels_l": levels,
        }  # fmt: skip
    tiny.files["enhancer_params_file"]["L5001"]["cr_l"] = [0.9] * 6
    write_metadata(tiny)
    done = run.call("enhance", "path.exp_folder=exp/unusual")
    assert done.status == 0, done
    assert [line for line in done.stderr.splitlines() if "unusual" in line] == [
        "L5999, L5001: unusual audiogram frequencies: 63; usual are 125 to 16000 Hz",
        "L5999, L5001: unusual audiogram levels: 125; usual are -10 to 120 dB HL",
        "L5001: unusual compression ratios: 0.9; usual are 1 to 20 (2 for 2:1)",
    ]
    validate([str(run.folder / "data")])
    assert "unusual audiogram levels: 125" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("input_sample_rate=44.1", "looks like kHz, expected Hz: 44100, got 44.1"),
        ("input_sample_rate=44", "looks like kHz, expected Hz: 44100, got 44"),
        ("remix_sample_rate=32", "looks like kHz, expected Hz: 32000, got 32"),
        ("HAAQI_sample_rate=24.0", "looks like kHz, expected Hz: 24000, got 24.0"),
        ("remix_sample_rate=3200", "expected 8000 to 192000 Hz, got 3200"),
        ("HAAQI_sample_rate=24000000", "expected 8000 to 192000 Hz, got 24000000"),
    ],
)
def test_sampling_rates_of_the_configuration(run, override, expected):
    line = run.refused("enhance", override)
    assert line == f"{override.split('=')[0]}: {expected}"


def test_the_hearing_aid_of_the_configuration(run):
    done = run.call(
        "enhance",
        "enhancer.crossover_frequencies=[0.35355,0.70711,1.41421,2.82843,5.65685]",
        "enhancer.attack=[0.011,0.011,0.014,0.013,0.011,0.011]",
        "enhancer.release=[0.08,0.08,0.08,0.08,0.1,0.1]",
    )
    assert done.status == 2
    edges, attack, release = done.stderr.splitlines()
    assert edges.startswith("enhancer.crossover_frequencies: look like kHz, expected Hz: 353.55, ")
    assert attack.startswith("enhancer.attack: look like seconds, expected ms: 11, ")
    assert release.startswith("enhancer.release: look like seconds, expected ms: 80, ")


def test_gains_of_a_scene_that_mute_everybody_are_refused(run, tiny):
    tiny.files["gains_file"]["gain_0001"] = {"source_1": -100, "source_2": -200}
    write_metadata(tiny)
    done = run.call("enhance")
    assert done.status == 2
    assert "'gain_0001' mutes every player (-100 dB or less)" in done.stderr
    tiny.files["gains_file"]["gain_0001"] = {"source_1": -99, "source_2": -200}
    write_metadata(tiny)
    assert run.call("enhance", "path.exp_folder=exp/muted").status == 0


def test_a_prescription_is_refused_for_what_no_audiometer_measures():
    with pytest.raises(InputError) as error:
        compression_from_audiogram((0.25, 0.5, 1, 2, 4, 8), (0, 0, 0, 0, 0, 500))
    assert error.value.problems == (
        "audiogram frequencies: look like kHz, expected Hz: 250, 500, 1000, 2000, 4000, 8000, "
        "got 0.25, 0.5, 1, 2, 4, 8",
        "audiogram levels: expected -20 to 130 dB HL, got 500",
    )
