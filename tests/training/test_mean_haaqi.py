import numpy as np
import pytest
import torch

from cmss.audio import read_excerpt, write_flac
from cmss.errors import InputError
from cmss.hearing.hearing_aid import HearingAid
from cmss.models.outputs import OUTPUTS, TARGET
from cmss.run.scoring import Scorer
from cmss.scenes import load_pairs
from cmss.training.mean_haaqi import MeanHaaqi
from tests.support.tiny_challenge import RATE_HZ, TinyChallenge, excerpt

SCORER = Scorer(HearingAid((350.0, 700.0, 1400.0, 2800.0, 5600.0), 11, 80, -30, RATE_HZ))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """A duet of a cello and an oboe, one scene for one listener, and a trio of other strings."""
    challenge = TinyChallenge(tmp_path_factory.mktemp("tiny"))
    for name, hz in (("Cello", 200), ("Oboe", 1500)):
        tone = 0.02 * np.sin(2 * np.pi * hz * np.arange(RATE_HZ // 2) / RATE_HZ)
        write_flac(challenge.audio(f"duet/{name}.flac"), np.tile(tone, (2, 1)), RATE_HZ)
    for key, name in (("source_1", "Cello"), ("source_2", "Oboe")):
        challenge.files["music_file"]["duet"][key] = excerpt(name, f"duet/{name}.flac")
    stems = [read_excerpt(s.excerpt, RATE_HZ) for s in _duet(challenge).values()]
    mixture = np.pad(sum(stems), ((0, 0), (int(0.1 * RATE_HZ), RATE_HZ // 10)))
    write_flac(challenge.audio("duet/Mixture.flac"), mixture, RATE_HZ)
    return load_pairs(challenge.paths(), RATE_HZ)


def _duet(challenge):
    pairs = load_pairs(challenge.paths(), RATE_HZ)
    return next(p.scene.track.sources for p in pairs if p.scene.track.name == "duet")


class Side(torch.nn.Module):
    """Separates at 600 Hz: the cello plays below, the oboe above."""

    sample_rate_hz = RATE_HZ
    sources = (TARGET,)
    reach = None

    def __init__(self, above: bool) -> None:
        super().__init__()
        self.sign = torch.nn.Parameter(torch.tensor(1.0 if above else -1.0))

    def forward(self, mixture: torch.Tensor) -> torch.Tensor:
        spectrum = torch.fft.rfft(mixture)
        hz = torch.linspace(0, RATE_HZ / 2, spectrum.shape[-1])
        kept = spectrum * (self.sign * (hz - 600) > 0)
        return torch.fft.irfft(kept, mixture.shape[-1]).unsqueeze(1)


def test_the_right_stem_scores_like_a_perfect_system_and_another_less(pairs):
    test = MeanHaaqi.spread(pairs, 5, SCORER, "Cello")
    assert [pair.scene.track.name for pair in test.pairs] == ["duet"]
    right, wrong = test(Side(above=False)), test(Side(above=True))
    # The score of a perfect system is below 1, because steady tones have few modulations.
    pair = test.pairs[0]
    reference = SCORER.reference(pair.scene)
    amplified = SCORER.hearing_aid(reference, pair.listener)
    perfect = np.mean([ear.score for ear in SCORER.score(reference, amplified, RATE_HZ, pair)])
    # Estimates are right to the step of 16 bits.
    assert right == pytest.approx(perfect, abs=2e-3)
    assert wrong < right - 0.02


class Mixture(torch.nn.Module):
    """The first source that is present gets the mixture, all others get silence."""

    sample_rate_hz = RATE_HZ
    sources = OUTPUTS
    reach = None

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, mixture: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        first = torch.zeros(present.shape)
        first[0, int(present[0].nonzero()[0])] = 1
        return self.scale * mixture.unsqueeze(1) * first[..., None, None]


def test_a_network_for_all_instruments(pairs):
    test = MeanHaaqi.spread(pairs, 1, SCORER, None)
    assert 0 < test(Mixture()) < 1


def test_pairs_are_spread_evenly(pairs):
    many = [*pairs, *pairs, *pairs]
    chosen = MeanHaaqi.spread(many, 3, SCORER, None).pairs
    assert list(chosen) == [many[0], many[3], many[6]]
    assert list(MeanHaaqi.spread(pairs, 50, SCORER, None).pairs) == pairs


def test_an_instrument_that_nobody_plays_is_refused(pairs):
    with pytest.raises(InputError, match="haaqi_pairs: there is no pair whose scene contains Sax"):
        MeanHaaqi.spread(pairs, 3, SCORER, "Sax")
