from dataclasses import replace

import numpy as np
import pytest
import torch

from cmss.errors import InputError
from cmss.models.outputs import ACCOMPANIMENT, OUTPUTS, TARGET, player_index
from cmss.scenes import INSTRUMENTS
from cmss.training.mixtures import Batch, MixtureSettings, RandomMixtures
from cmss.training.presets import preset
from tests.support.recipe_defaults import of_recipe
from tests.support.tones import PITCH_HZ, RATE_HZ, dominant_hz, nearest_player, tone_track

INDEX = {name: number for number, name in enumerate(OUTPUTS)}
TRACKS = [
    tone_track("quartet", ("Violin", "Violin_2", "Viola", "Cello")),
    tone_track("reeds", ("Oboe", "Clarinet", "Bassoon"), 3.0),
    tone_track("flutes", ("Flute_2", "Flute", "Sax")),
]
# No change of pitch beyond half the distance between two players.
SETTINGS = of_recipe(
    "train", "mixtures", MixtureSettings,
    segment_s=0.5, batch_size=6, together=0.5, gain_db=3.0, semitones=0.2, cents=10.0,
)  # fmt: skip


def mixtures(tracks=TRACKS, index=INDEX, instrument=None, seed=1, **changes) -> RandomMixtures:
    return RandomMixtures(
        tracks, index, RATE_HZ, replace(SETTINGS, **changes), seed, instrument=instrument
    )


def players(batch: Batch, row: int) -> list[str]:
    """Return the players of an example, from the index of its columns."""
    return [OUTPUTS[number] for number in batch.index[row].tolist() if number >= 0]


def equal(first: Batch, second: Batch) -> bool:
    return (
        torch.equal(first.stems, second.stems)
        and torch.equal(first.index, second.index)
        and torch.equal(first.gains, second.gains)
    )


def test_a_batch_depends_on_seed_and_step_alone():
    first, second = mixtures(), mixtures()
    for step in (3, 0, 2):  # whatever was drawn before
        first.batch(step)
    assert equal(first.batch(7), second.batch(7))
    assert not equal(first.batch(7), first.batch(8))
    assert not equal(first.batch(7), mixtures(seed=2).batch(7))


def test_shapes_and_kinds():
    batch = mixtures().batch(0)
    examples, most = batch.index.shape
    assert examples == 6
    assert batch.stems.shape == (6, most, 2, 1000)
    assert batch.gains.shape == (6, most)
    assert (batch.stems.dtype, batch.index.dtype) == (torch.float32, torch.int64)
    assert batch.stems.isfinite().all()
    torch.testing.assert_close(batch.mixture, batch.stems.sum(1))
    assert (batch.stems[batch.index < 0] == 0).all()
    gains_db = (20 * torch.log10(batch.gains)).round(decimals=3).unique()
    assert set(gains_db.tolist()) <= {-10.0, -6.0, -3.0, 0.0, 3.0, 6.0, 10.0}


@pytest.mark.parametrize("together", [0.0, 1.0])
def test_each_player_goes_to_its_output(together):
    draw = mixtures(together=together)
    for step in range(8):
        batch = draw.batch(step)
        for row in range(len(batch.stems)):
            for column, name in enumerate(players(batch, row)):
                assert nearest_player(batch.stems[row, column, 0].numpy()) == name


def test_players_of_one_track_stay_together():
    draw = mixtures(together=1.0)
    ensembles = {frozenset(track.stems) for track in TRACKS}
    drawn = {frozenset(players(draw.batch(step), row)) for step in range(5) for row in range(6)}
    assert drawn == ensembles


def test_players_of_different_tracks_are_two_to_five_instruments():
    draw = mixtures(together=0.0)
    sizes = set()
    for step in range(20):
        batch = draw.batch(step)
        for row in range(6):
            names = players(batch, row)
            assert len(set(names)) == len(names)
            sizes.add(len({name.removesuffix("_2") for name in names}))
            # Two players of the same instrument come from the same track.
            assert ("Violin" in names) == ("Violin_2" in names)
            assert ("Flute" in names) == ("Flute_2" in names)
    assert sizes == {2, 3, 4, 5}


@pytest.mark.parametrize("together", [0.0, 1.0])
@pytest.mark.parametrize("instrument", ["Violin", "Oboe"])
def test_a_required_instrument_is_always_there(together, instrument):
    index = player_index((TARGET, ACCOMPANIMENT), instrument)
    draw = mixtures(index=index, instrument=instrument, together=together)
    others = 0
    for step in range(6):
        batch = draw.batch(step)
        for row in range(6):
            for column, target in enumerate(batch.index[row].tolist()):
                if target >= 0:
                    heard = nearest_player(batch.stems[row, column, 0].numpy())
                    assert (heard.removesuffix("_2") == instrument) == (target == 0)
            assert 0 in batch.index[row]
            others += int((batch.index[row] == 1).sum())
    assert others > 6 * 6 / 2


def test_a_required_instrument_has_company_even_of_a_single_other():
    tracks = [tone_track("duet", ("Violin", "Cello"))]
    batch = mixtures(tracks, instrument="Violin", together=0.0).batch(0)
    assert all(sorted(players(batch, row)) == ["Cello", "Violin"] for row in range(6))


def test_a_required_instrument_may_be_the_only_one_there_is():
    tracks = [tone_track("solo", ("Violin", "Violin_2"))]
    batch = mixtures(tracks, instrument="Violin", together=0.0).batch(0)
    assert all(players(batch, row) == ["Violin", "Violin_2"] for row in range(6))


def test_present_marks_who_plays():
    index = torch.tensor([[2, 0, -1], [3, 1, 2], [-1, -1, 0], [1, 1, -1]])
    batch = Batch(torch.zeros(4, 3, 2, 5), index, torch.ones(4, 3))
    expected = [
        [True, False, True, False],
        [False, True, True, True],
        [True, False, False, False],
        [False, True, False, False],
    ]
    assert batch.present(4).tolist() == expected


def test_without_changes_a_segment_is_a_cut_of_its_stem():
    """Polarity and side alone are still drawn."""
    draw = mixtures(
        TRACKS[:1], together=1.0, gain_db=0.0, semitones=0.0, cents=0.0, equaliser_db=0.0
    )
    batch = draw.batch(0)
    sides = set()
    for row in range(6):
        for column, name in enumerate(TRACKS[0].stems):
            stem = TRACKS[0].stems[name][0] / 32768
            left, right = batch.stems[row, column].numpy()
            loud = max((left, right), key=np.ptp)
            sides.add(loud is left)
            cuts = np.lib.stride_tricks.sliding_window_view(stem, 1000)
            error = min(np.abs(cuts - loud).max(1).min(), np.abs(cuts + loud).max(1).min())
            assert error < 1e-6
    assert sides == {True, False}


def test_pitch_moves_all_players_of_a_track_alike():
    draw = mixtures(TRACKS[:1], together=1.0, semitones=2.0, segment_s=0.9)
    batch = draw.batch(0)
    shifts = []
    for row in range(6):
        heard = [dominant_hz(x[0].numpy()) for x in batch.stems[row]]
        ratios = np.array(heard) / [PITCH_HZ[name] for name in players(batch, row)]
        assert np.ptp(ratios) < 0.01  # a bin of the spectrum is 1.1 Hz
        shifts.append(ratios.mean())
    assert np.ptp(shifts) > 0.02
    assert max(np.abs(12 * np.log2(shifts))) < 2.1


@pytest.mark.parametrize(
    ("tracks", "instrument", "message"),
    [
        ([], None, "any instrument"),
        (TRACKS, "Horn", "Horn"),
        ([tone_track("short", ("Violin",), 0.4)], None, "segment_s: a segment of 0.5 s"),
    ],
)
def test_nothing_to_draw_from(tracks, instrument, message):
    with pytest.raises(InputError, match=message):
        mixtures(tracks, instrument=instrument)


def test_short_tracks_are_left_out():
    draw = mixtures([tone_track("short", ("Sax",), 0.4), *TRACKS[:1]], together=1.0)
    assert all("Sax" not in players(draw.batch(step), row) for step in range(3) for row in range(6))


# Presets.


def test_one_network_for_all_has_an_output_for_each_player():
    assert player_index(OUTPUTS) == INDEX


def test_a_network_of_one_instrument_takes_both_voices():
    index = player_index((TARGET, ACCOMPANIMENT), "Violin")
    assert {name for name, target in index.items() if target == 0} == {"Violin", "Violin_2"}
    assert set(index.values()) == {0, 1}


@pytest.mark.parametrize(
    ("sources", "instrument", "message"),
    [
        ((TARGET,), None, "instrument: None, expected one of Bassoon, .*Violin"),
        ((TARGET,), "Violin_2", "instrument: 'Violin_2'"),
        (OUTPUTS, "Violin", "instrument: expected null"),
    ],
)
def test_an_instrument_where_one_is_needed_and_only_there(sources, instrument, message):
    with pytest.raises(InputError, match=message):
        player_index(sources, instrument)


def test_players_without_an_output_of_their_own():
    """Both violins share the only output; without an accompaniment, other players have none."""
    one_each = player_index(INSTRUMENTS)
    assert one_each["Violin"] == one_each["Violin_2"] == INSTRUMENTS.index("Violin")
    alone = player_index((TARGET,), "Cello")
    assert alone.pop("Cello") == 0
    assert set(alone.values()) == {-1}


def test_what_each_output_should_give():
    """The sum of the stems that go to it, and together the mixture if all go somewhere."""
    batch = mixtures(index=player_index((TARGET, ACCOMPANIMENT), "Violin"), together=1.0).batch(0)
    wanted = batch.targets(2)
    for row, index in enumerate(batch.index):
        for output in (0, 1):
            assert torch.equal(wanted[row, output], batch.stems[row, index == output].sum(0))
    torch.testing.assert_close(wanted.sum(1), batch.mixture, rtol=0, atol=1e-6)


def test_an_unknown_size_is_answered_with_those_there_are():
    with pytest.raises(InputError, match=r"size=huge: unknown, expected one of .*size=small"):
        preset("convtasnet", "huge")
