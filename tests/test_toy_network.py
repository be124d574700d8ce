"""A network is one file: dropped among those of cmss.models, it is trained and separates."""

from collections.abc import Callable
from pathlib import Path

import soundfile

from tests.support.stage_server import Done, stage_server
from tests.support.tiny_challenge import TinyChallenge
from tests.support.tiny_run import write_metadata

ROOT = Path(__file__).parents[1]

TOY = '''
"""A gain for each source."""

from dataclasses import dataclass

import torch

from cmss.models.network import Network
from cmss.models.outputs import OUTPUTS
from cmss.models.record import NetworkRecord, Size


@dataclass(frozen=True)
class ToyArguments:
    sources: tuple[str, ...]
    samplerate: int = 8000


class Toy(Network):
    model_name = "toy"

    def __init__(self, arguments: ToyArguments) -> None:
        super().__init__(arguments)
        self.gains = torch.nn.Parameter(torch.full((len(arguments.sources), 1, 1), 0.2))

    def forward(self, mixture, present=None):
        return self.gains * mixture.unsqueeze(1)


RECORD = NetworkRecord(
    name="toy",
    network=Toy,
    arguments=ToyArguments,
    summary="a gain for each source",
    sizes={"small": Size({"sources": OUTPUTS}, "waveform", {"power": 2})},
)
'''


def test_one_file_is_enough_to_train_and_to_separate(tmp_path):
    # As if the file lay in cmss/models, where tests do not write.
    (tmp_path / "models").mkdir()
    (tmp_path / "models/toy.py").write_text(TOY)
    with stage_server(tmp_path / "models") as server:
        assert_is_trained_and_separates(
            lambda recipe, *words: server.run(recipe, *words, cwd=tmp_path), tmp_path
        )


def assert_is_trained_and_separates(recipe: Callable[..., Done], tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_metadata(TinyChallenge(root))
    for path in (root / "metadata").glob("music.valid.json"):
        path.with_name("music.train.json").write_bytes(path.read_bytes())
    paths = (f"path.root={root}", f"path.train_music_dir={root}/audio")
    paths += (f"path.valid_music_dir={root}/audio",)
    trained = recipe(
        "train", *paths, "model=toy", "size=small", "loop.steps=2", "loop.validate_every=1",
        "loop.validation_batches=1", "loop.precision=float32", "mixtures.segment_s=0.1",
        "mixtures.batch_size=2", "device=cpu",
    )  # fmt: skip
    assert trained.status == 0, trained.stderr
    weights = tmp_path / "exp/train/toy_small/best.safetensors"
    separated = recipe(
        "enhance", f"path.root={root}", "separator=toy", f"separator.weights_from={weights}",
        "stems=true", "separator.device=cpu",
    )  # fmt: skip
    assert separated.status == 0, separated.stderr
    stems = sorted((tmp_path / "exp/stems").rglob("source_*.flac"))
    assert stems
    assert all(soundfile.read(path)[0].any() for path in stems)
    # It is also named where a user looks for the choices.
    unknown = recipe("train", *paths, "model=tyo")
    assert unknown.status == 2
    assert unknown.stderr.endswith("; did you mean toy?\n")
    assert "toy|" in recipe("enhance", "--help").stdout
