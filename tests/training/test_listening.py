import numpy as np
import pytest
import torch
from tiny_challenge import RATE_HZ, TinyChallenge, excerpt

from cmss.audio import read_excerpt, write_flac
from cmss.errors import InputError
from cmss.hearing_aid import HearingAid
from cmss.models.outputs import OUTPUTS, TARGET
from cmss.scenes import load_pairs
from cmss.scoring import Scorer
from cmss.training.listening import ListeningTest

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


class Always(torch.nn.Module):
    """Estimates that do not depend on the mixture: the target's true stem, or nothing."""

    sample_rate_hz = RATE_HZ
    sources = (TARGET,)

    def __init__(self, stem: np.ndarray) -> None:
        super().__init__()
        self.stem = torch.nn.Parameter(torch.from_numpy(stem.copy()))

    def forward(self, mixture: torch.Tensor) -> torch.Tensor:
        fitted = torch.zeros_like(mixture)
        samples = min(mixture.shape[-1], self.stem.shape[-1])
        fitted[..., :samples] = self.stem[:, :samples]
        return fitted.unsqueeze(1)


def test_the_true_stem_scores_like_the_reference_and_silence_less(pairs):
    test = ListeningTest.spread(pairs, 5, SCORER, "Cello")
    assert [pair.scene.track.name for pair in test.pairs] == ["duet"]
    stem = read_excerpt(test.pairs[0].scene.track.sources["source_1"].excerpt, RATE_HZ)
    true, silent = test(Always(stem)), test(Always(0 * stem))
    # The sum of stems differs from the mixture's file by half a 16-bit step.
    assert true > 0.98
    assert silent < true - 0.02


class Mixture(torch.nn.Module):
    """Everything goes to the first output asked for."""

    sample_rate_hz = RATE_HZ
    sources = OUTPUTS

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, mixture: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        first = torch.zeros(present.shape)
        first[0, int(present[0].nonzero()[0])] = 1
        return self.scale * mixture.unsqueeze(1) * first[..., None, None]


def test_a_network_for_all_instruments(pairs):
    test = ListeningTest.spread(pairs, 1, SCORER, None)
    assert 0 < test(Mixture()) < 1


def test_pairs_are_spread_evenly(pairs):
    many = [*pairs, *pairs, *pairs]
    chosen = ListeningTest.spread(many, 3, SCORER, None).pairs
    assert list(chosen) == [many[0], many[3], many[6]]
    assert list(ListeningTest.spread(pairs, 50, SCORER, None).pairs) == pairs


def test_an_instrument_that_nobody_plays_is_refused(pairs):
    with pytest.raises(InputError, match=r"loop\.haaqi_every: no validation pair with Sax"):
        ListeningTest.spread(pairs, 3, SCORER, "Sax")
