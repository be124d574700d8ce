"""cmss.separate and cmss.rebalance: players, gains, separators, progress, device."""

from importlib.metadata import EntryPoint

import numpy as np
import pytest
import torch

import cmss
from cmss.audio import loudness_lufs
from cmss.run.configuration import default_separator
from cmss.separators import SEPARATORS, blocks, build_separator
from tests.support.separation import sources, write_small

RATE_HZ = 44100
NOISE = 0.1 * np.random.default_rng(3).standard_normal((RATE_HZ, 2))


def separate(instruments=("Violin", "Cello"), mixture=NOISE, **options):
    return cmss.separate(mixture, RATE_HZ, instruments, **{"separator": "nmf", **options})


def refused(call, *lines: str) -> None:
    with pytest.raises(cmss.InputError) as caught:
        call()
    assert len(caught.value.problems) == len(lines), caught.value.problems
    for found, expected in zip(caught.value.problems, lines, strict=True):
        assert expected in found
        assert found.isprintable()


NAMES = {
    ("Violin", "Cello"): ["Violin", "Cello"],
    ("cello", "FLUTE"): ["Cello", "Flute"],
    ("Violin", "Cello", "Violin"): ["Violin_1", "Cello", "Violin_2"],
    ("Viola", "viola", "Viola"): ["Viola_1", "Viola_2", "Viola_3"],
    ("Bassoon", "Bassoon"): ["Bassoon_1", "Bassoon_2"],
}


@pytest.mark.parametrize(("instruments", "names"), NAMES.items(), ids=map("-".join, NAMES))
def test_names_of_stems(instruments, names):
    assert list(separate(instruments)) == names
    assert list(separate(iter(instruments))) == names


def test_with_a_single_player_the_stem_is_the_mixture():
    (stem,) = separate(["Oboe"]).values()
    np.testing.assert_allclose(stem, NOISE, rtol=0, atol=1e-15)  # float64


WRONG_PLAYERS = {
    "misspelt": (["Violine", "Celo"], ["did you mean Violin?", "did you mean Cello?"]),
    "longer": (["Saxophone"], ["got 'Saxophone'; did you mean Sax?"]),
    "part of a track": (["Violin_1"], ["did you mean Violin?"]),
    "unlike all": (["Tuba", "Oboe"], ["expected names from Bassoon, Cello"]),
    "text": ("Violin", ["instruments: expected a list of names such as ['Violin', 'Cello']"]),
    "empty": ([], ["instruments: expected at least one name"]),
    "number": (3, ["instruments: expected a list of names"]),
    "nothing within": ([None], ["got None"]),
    "empty name": (["", "Oboe"], ["got ''"]),
}


@pytest.mark.parametrize(("instruments", "lines"), WRONG_PLAYERS.values(), ids=WRONG_PLAYERS)
def test_refused_players(instruments, lines):
    refused(lambda: separate(instruments), *lines)


WRONG_CHOICES = {
    "quality": ({"quality": "bset", "separator": None}, "got 'bset'; did you mean best?"),
    "both": ({"quality": "fast"}, "expected either quality or separator"),
    "misspelt": ({"separator": "convtasnt"}, "did you mean convtasnet?"),
    "oracle": ({"separator": "oracle"}, "separator: expected one of ensemble, arunet"),
    "no name": ({"separator": {}}, "got None"),
    "a number": ({"separator": 5}, "got 5"),
    "wrong key": ({"separator": {"name": "nmf", "divergense": "is"}}, "divergense: no such"),
    "no weights": (
        {"separator": {"name": "convtasnet", "weights_from": "a.safetensors"}},
        "a.safetensors: no such weights",
    ),
    "device": ({"device": "gpu"}, "device: expected None or one of cpu"),
    "progress": (
        {"progress": 5},
        "progress: expected a function that takes the completed fraction, got 5",
    ),
}


@pytest.mark.parametrize(("options", "line"), WRONG_CHOICES.values(), ids=WRONG_CHOICES)
def test_refused_choices(options, line):
    refused(lambda: separate(**options), line)


def test_every_listed_separator_separates_or_names_what_it_needs():
    short = NOISE[: RATE_HZ // 2]
    for entry in cmss.list_separators():
        # Both take seconds; another test runs the ensemble.
        if entry.name in ("ensemble", "casa"):
            continue
        if entry.ready:
            stems = separate(mixture=short, separator=entry.name)
            # float64: rounding alone.
            np.testing.assert_allclose(sum(stems.values()), short, rtol=0, atol=1e-14)
        else:
            with pytest.raises(cmss.InputError):
                separate(mixture=short, separator=entry.name)


class Registers:
    """Splits registers."""


def test_a_separator_of_another_package_is_listed(monkeypatch):
    entry = EntryPoint("registers", f"{__name__}:Registers", "cmss.separators")
    monkeypatch.setitem(SEPARATORS.entries, "registers", entry)
    (entry,) = [entry for entry in cmss.list_separators() if entry.name == "registers"]
    assert entry.method == "Splits registers."
    refused(lambda: separate(separator="register"), "did you mean registers?")


def test_a_separator_with_settings_and_a_device(tmp_path):
    weights = write_small(tmp_path)
    own = separate(
        separator={"name": "convtasnet", "weights_from": str(weights)}, device=torch.device("cpu")
    )
    packaged = separate(separator="convtasnet", device="cpu")
    assert not np.allclose(own["Violin"], packaged["Violin"])


@pytest.fixture
def short_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_S", 0.5)
    monkeypatch.setattr(blocks, "CROSS_FADE_S", 0.05)


def ensemble(members: int) -> dict:
    return {
        "name": "ensemble",
        "members": [{"name": "nmf", "weight": 1.0}] * members,
        "pool": "logarithmic",
    }


@pytest.mark.usefixtures("short_blocks")
@pytest.mark.parametrize(("separator", "per_block"), [("nmf", 1), (ensemble(3), 4)])
def test_progress_rises_from_0_to_1(separator, per_block):
    fractions = []
    separate(separator=separator, progress=fractions.append)
    # 1 s in blocks of 0.5 s with cross-fades: three blocks.
    assert len(fractions) == 1 + 3 * per_block
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert fractions[-1] == 1


@pytest.mark.usefixtures("short_blocks")
def test_progress_cancels_by_an_exception_and_not_by_its_result():
    class Cancelled(Exception):
        pass

    fractions = []

    def cancel(fraction: float) -> None:
        fractions.append(fraction)
        if fraction > 0.3:
            raise Cancelled

    with pytest.raises(Cancelled):
        separate(separator=ensemble(2), progress=cancel)
    assert fractions[-1] < 0.7
    assert len(separate(progress=lambda fraction: fraction > 0.3)) == 2


@pytest.mark.parametrize(
    ("quality", "settings"),
    [("best", default_separator()), ("fast", {"name": "multichannel_unet"})],
    ids=["best", "fast"],
)
def test_qualities(quality, settings):
    """The stems are those of the default, and of the best single network."""
    half = NOISE[: RATE_HZ // 2]
    stems = cmss.separate(half, RATE_HZ, ["Cello", "Flute"], quality=quality)
    mixture = np.ascontiguousarray(half.T, np.float32)
    # The level of the challenge's mixtures.
    gain = np.float32(10 ** ((-40 - loudness_lufs(mixture, RATE_HZ)) / 20))
    separator = build_separator(settings, RATE_HZ)
    expected = separator.separate(gain * mixture, sources("Cello", "Flute"))
    remainder = gain * mixture - sum(expected.values())
    if quality == "best":
        # float32; the steps after the ensemble divide the mixture completely.
        assert np.abs(remainder).max() < 1e-6
    energies = [np.sum(stem**2) for stem in expected.values()]
    for stem, other, energy in zip(stems.values(), expected.values(), energies, strict=True):
        complete = (other + energy / sum(energies) * remainder) / gain
        # float32, relative to noise with an RMS of 0.1.
        np.testing.assert_allclose(stem, complete.T, rtol=0, atol=1e-6)


STEMS = {"Violin_1": NOISE, "Violin_2": 0.5 * NOISE, "Cello": -0.2 * NOISE}
MIXTURE = 1.3 * NOISE


def test_rebalance_adds_the_changes_of_the_stems():
    gains = {"Violin_1": 6, "Cello": -np.inf}
    remix = cmss.rebalance(MIXTURE, STEMS, gains, keep_level=False)
    np.testing.assert_allclose(remix, (10 ** (6 / 20) + 0.5) * NOISE)
    # The factor keeps the power of stems of equal power: the mean of 10^(0.6), 1 and 0.
    kept = cmss.rebalance(MIXTURE, STEMS, gains)
    np.testing.assert_allclose(kept, remix * np.sqrt(3 / (10**0.6 + 1)))


def test_rebalance_without_gains_returns_the_mixture():
    for mixture in (MIXTURE, torch.tensor(MIXTURE), np.rint(MIXTURE * 2**15).astype(np.int16)):
        stems = dict.fromkeys(STEMS, mixture)
        remix = cmss.rebalance(mixture, stems, dict.fromkeys(stems, 0.0))
        np.testing.assert_array_equal(np.asarray(remix), np.asarray(mixture))


def test_a_silent_stem_is_accepted():
    remix = cmss.rebalance(NOISE, {"Violin": NOISE, "Cello": 0 * NOISE}, {"Cello": 20})
    assert np.isfinite(remix).all()


WRONG_GAINS = {
    "unknown": ({"Violin": 3, "Celo": 1}, ["did you mean Violin_1?", "did you mean Cello?"]),
    "in lower case": ({"cello": 1}, ["did you mean Cello?"]),
    "all muted": (dict.fromkeys(STEMS, -120), ["gains_db: every player is muted"]),
    "too large": ({"Cello": 300}, ["gains_db: Cello: expected -200 to 200 dB, got 300"]),
    "nan": ({"Cello": np.nan}, ["gains_db: Cello: expected -200 to 200 dB, got nan"]),
    "text": ({"Cello": "6 dB"}, ["gains_db: Cello: expected a gain in dB, got '6 dB'"]),
    "bool": ({"Cello": True}, ["gains_db: Cello: expected a gain in dB, got True"]),
    "a list": ([6, -3, 0], ["gains_db: expected a dict from the name of a stem to its gain"]),
}


@pytest.mark.parametrize(("gains", "lines"), WRONG_GAINS.values(), ids=WRONG_GAINS)
def test_refused_gains(gains, lines):
    refused(lambda: cmss.rebalance(MIXTURE, STEMS, gains), *lines)


def test_refused_stems():
    for stems, line in (
        ({}, "stems: expected a dict from names to stems"),
        (
            [NOISE],
            "stems: expected a dict from names to stems, such as the result of separate, got list",
        ),
        ({"Cello": NOISE.T}, "stems: Cello: expected the shape of the mixture, (44100, 2)"),
        ({"Cello": NOISE[:-1]}, "got (44099, 2)"),
        ({"Cello": NOISE > 0}, "stems: Cello: expected samples of type float16"),
    ):
        refused(lambda stems=stems: cmss.rebalance(NOISE, stems, {}), line)
