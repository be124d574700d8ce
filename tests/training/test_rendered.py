"""Training on mixtures that are rendered from notes and scores."""

import json
import shutil
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module
from safetensors.torch import load, save
from scipy.signal import firwin

from cmss.commands import fit_postfilter as fit_postfilter_command
from cmss.commands import train as train_command
from cmss.errors import InputError
from cmss.machine import stand_ins
from cmss.models.checkpoint import load_checkpoint
from cmss.models.outputs import OUTPUTS
from cmss.models.postfilter_network import load_postfilter
from cmss.models.weights_file import read_weights
from cmss.rendering.effects import EffectSettings
from cmss.rendering.excerpts import ExcerptRenderer
from cmss.rendering.packed_material import load_material, save_material
from cmss.run.choices import add_choices
from cmss.separators.estimators import LEVEL
from cmss.training import trainer
from cmss.training.from_pack import SECTIONS, configuration, defaults, train_from_pack
from cmss.training.keys import TrainKeys
from cmss.training.mixtures import GAINS_DB, MixtureSettings
from cmss.training.presets import PRESETS
from cmss.training.rendered import MaterialPaths, RenderedMixtures, effect_settings, split_works
from metadata_tools.notes.bank import write_bank
from metadata_tools.notes.synthesiser import make_bank
from tests.support.stages import run_python
from tests.support.tiny_material import OFF, RATE_HZ, tiny_material
from tests.support.tiny_music import write_quartet

INDEX = {name: number for number, name in enumerate(OUTPUTS)}
SETTINGS = MixtureSettings(
    segment_s=1.0,
    batch_size=3,
    together=1.0,
    gain_db=6.0,
    semitones=0.0,
    cents=0.0,
    equaliser_db=6.0,
)
NOWHERE = MaterialPaths(notes=[], scores=[], pack=None)


def mixtures(effects: EffectSettings = EffectSettings(), seed: int = 1, **options):  # noqa: B008
    return RenderedMixtures(tiny_material(), effects, INDEX, SETTINGS, seed, **options)


def test_the_same_step_twice_is_the_same_mixture():
    first, again, threads = mixtures(), mixtures(), mixtures(threads=3)
    first.batch(0)  # has no effect on later steps
    for other in (again, threads):
        expected, batch = first.batch(5), other.batch(5)
        assert torch.equal(expected.stems, batch.stems)
        assert torch.equal(expected.index, batch.index)
        assert torch.equal(expected.gains, batch.gains)


def test_every_step_and_every_seed_is_another_mixture():
    batches = [mixtures(seed=seed).batch(step).mixture for seed, step in ((1, 0), (1, 1), (2, 0))]
    assert not torch.equal(batches[0], batches[1])
    assert not torch.equal(batches[0], batches[2])
    assert not torch.equal(batches[0][0], batches[0][1])


def test_a_batch_is_the_sum_of_its_players_at_the_level_of_the_challenge():
    drawn = mixtures()
    batch = drawn.batch(3)
    assert batch.stems.shape[2:] == (2, RATE_HZ)
    for row in range(SETTINGS.batch_size):
        labels, stems = drawn.example(3, row)
        assert 2 <= len(labels) <= 5
        torch.testing.assert_close(batch.mixture[row], torch.from_numpy(stems.sum(0)))
        names = [OUTPUTS[n] for n in batch.index[row, : len(labels)]]
        assert names == [label.replace("_1", "") for label in labels]
        assert torch.all(batch.index[row, len(labels) :] == -1)
    level_db = 20 * torch.log10(batch.mixture.square().mean((1, 2)).sqrt() / LEVEL)
    assert level_db.abs().max() < 10


@pytest.mark.parametrize(
    "name",
    [f.name for f in fields(EffectSettings) if f.name not in ("overlap_s", "legato", "plain")],
)
def test_each_effect_alone_changes_mixtures(name):
    plain = mixtures(OFF)
    changed = mixtures(replace(OFF, **{name: getattr(EffectSettings(), name)}))
    steps = range(4)  # some effects are in a part of the mixtures
    assert any(not torch.equal(plain.batch(n).stems, changed.batch(n).stems) for n in steps)


def test_a_fraction_of_the_mixtures_has_no_effect():
    every, half, none = (mixtures(replace(EffectSettings(), plain=p)) for p in (1.0, 0.5, 0.0))
    without = 0
    for step in range(20):
        drawn = [m.example(step, 0)[1] for m in (every, half, none)]
        assert not np.array_equal(drawn[0], drawn[2])
        without += np.array_equal(drawn[0], drawn[1])
        assert np.array_equal(drawn[1], drawn[0]) or np.array_equal(drawn[1], drawn[2])
    assert 4 < without < 16  # 10 on average; outside in fewer than 1 of 100 seeds
    assert EffectSettings().as_plain() == replace(OFF, reverberation_s=1.5)


def test_legato_changes_mixtures_together_with_its_overlap():
    plain = mixtures(OFF)
    changed = mixtures(replace(OFF, legato=1.0, overlap_s=0.1))
    assert not torch.equal(plain.batch(0).stems, changed.batch(0).stems)


def test_one_instrument_plays_in_every_mixture():
    drawn = mixtures(instrument="Clarinet")
    for step in range(5):
        assert torch.all((drawn.batch(step).index == INDEX["Clarinet"]).any(1))
    with pytest.raises(InputError, match="instrument: Oboe"):
        mixtures(instrument="Oboe")


def test_the_required_instrument_never_plays_alone():
    renderer = ExcerptRenderer(tiny_material(), OFF, 1.0, "Clarinet")
    ensembles = [renderer._draw_ensemble(np.random.default_rng(seed)) for seed in range(300)]
    assert all("Clarinet" in labels and len(labels) > 1 for labels in ensembles)
    # A pair of the same instrument may play beside it.
    assert any("Violin_2" in labels for labels in ensembles)


def test_gains_do_not_share_their_random_numbers_with_any_example():
    drawn = mixtures()
    for step in range(1, 4):
        gains = drawn.batch(step).gains
        for row in range(SETTINGS.batch_size):
            rng = np.random.default_rng((1, step, row))
            of_example = 10 ** (rng.choice(GAINS_DB, gains.shape) / 20)
            assert not np.allclose(gains, of_example)


def test_works_of_the_validation_are_not_those_of_the_training():
    names = tuple(f"Work{n:02}" for n in range(20))
    training, validation = (
        {work.name for work in part.works} for part in split_works(tiny_material(names))
    )
    assert training | validation == set(names)
    assert not training & validation
    assert len(validation) == 2


@pytest.mark.parametrize(
    ("data", "paths", "expected"),
    [
        ({"name": "render"}, NOWHERE, "data.name: 'render', expected one of stems, rendered"),
        ({"name": "stems"}, replace(NOWHERE, notes=["n"]), "path.notes: valid only for data="),
        ({"name": "stems", "noise": 1}, NOWHERE, "data.noise: no such setting"),
        ({"name": "rendered", "nois": 1.0}, NOWHERE, "data.nois: no such setting"),
        ({"name": "rendered", "noise": 2.0}, NOWHERE, "data.noise: Input should be less than"),
        (
            {"name": "rendered"},
            replace(NOWHERE, pack="p", scores=["s"]),
            "path.pack: expected null if path.notes",
        ),
    ],
)
def test_wrong_settings_are_named(data, paths, expected):
    with pytest.raises(InputError) as caught:
        effect_settings(data, paths)
    assert caught.value.problems[0].startswith(expected)


# The programs.


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("material")
    write_bank(folder / "notes", lambda: make_bank(("Violin", "Cello"), 2, spacing_semitones=4))
    (folder / "scores").mkdir()
    for work in ("Haydn__A", "Mozart__B", "Arriaga__C"):
        write_quartet(folder / "scores" / f"{work}.musicxml")
    return folder


@pytest.fixture
def small(monkeypatch):
    """The default network, but tiny."""
    arguments = {"sources": OUTPUTS, "B": 4, "H": 4, "X": 1, "R": 1}
    chosen = replace(PRESETS["convtasnet", "small"], arguments=arguments)
    monkeypatch.setitem(PRESETS, ("convtasnet", "small"), chosen)


SHORT = ("loop.validation_batches=1", "mixtures.batch_size=1", "mixtures.segment_s=1.0")


def call(program, name: str, *words: str) -> None:
    add_choices()
    with initialize_config_module("cmss.conf", version_base=None):
        program.main(compose(name, ["data=rendered", *words]))


def material_words(folders: Path) -> tuple[str, str]:
    return f"path.notes=[{folders}/notes]", f"path.scores=[{folders}/scores]"


@pytest.mark.usefixtures("small")
def test_a_training_on_folders_continues_as_if_it_had_not_stopped(
    folders, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    words = (*material_words(folders), *SHORT, "loop.warmup_steps=1")
    call(train_command, "train", *words, "loop.steps=3", "path.exp_folder=once")
    assert "refused for training: 1 works of the test sets" in capsys.readouterr().out

    # The learning rate depends on the number of steps, so the second training is interrupted.
    class Interrupted(Exception):
        pass

    original = trainer.Trainer._update

    def update(self, losses):
        if self.step == 2:
            self._save()
            raise Interrupted
        return original(self, losses)

    with monkeypatch.context() as patched:
        patched.setattr(trainer.Trainer, "_update", update)
        with pytest.raises(Interrupted):
            call(train_command, "train", *words, "loop.steps=3", "path.exp_folder=twice")
    # The scores are not read a second time.
    monkeypatch.setattr("cmss.rendering.material_folders.read_material", None)
    call(train_command, "train", *words, "loop.steps=3", "path.exp_folder=twice")
    once, twice = (read_weights(Path(name) / "best.safetensors")[0] for name in ("once", "twice"))
    assert once.keys() == twice.keys()
    assert all(torch.equal(once[key], twice[key]) for key in once)
    header = read_weights(Path("once/best.safetensors"))[1]
    assert "rendered mixtures" in header["data"]
    assert str(folders) not in "".join(header.values())


@pytest.mark.usefixtures("small")
def test_a_pack_of_a_lower_rate_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_material(replace(tiny_material(), rate_hz=16000), tmp_path / "pack.npz")
    with pytest.raises(SystemExit):
        call(train_command, "train", "path.pack=pack.npz", *SHORT)
    assert capsys.readouterr().err == (
        "path.pack: pack.npz: 16000 Hz, expected at least 22050 Hz for this network; pack the "
        "notes with --rate 22050\n"
    )


def test_no_material_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        call(train_command, "train")
    assert capsys.readouterr().err.splitlines() == [
        "path.notes: expected at least one folder of notes, got none",
        "path.scores: expected at least one folder of scores, got none",
    ]


def test_a_postfilter_is_trained_on_rendered_mixtures(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = (
        *material_words(folders),
        "separator=nmf",
        "separator.steps=[]",
        "separator.iterations=2",
        "held_out=2",
        "+postfilter.channels=4",
        "training.batch_size=1",
        "training.frames=24",
        "training.modulation=0.0",
        "seconds=2.5",
        "pool=2",
        "uses=2",
    )
    call(fit_postfilter_command, "fit_postfilter", *words, "training.steps=3")
    assert "loss on 2 held-out mixtures" in capsys.readouterr().out
    load_postfilter(Path("exp/fit_postfilter/postfilter.safetensors"))


# A machine with PyTorch and NumPy alone.

BARE = """
import importlib.machinery as machinery, runpy, sys
blocked = set(sys.argv.pop(1).split(","))
class Bare:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] not in blocked:
            return machinery.PathFinder.find_spec(name, path, target)
sys.meta_path = [Bare if f is machinery.PathFinder else f for f in sys.meta_path]
runpy.run_module("cmss.training.from_pack", run_name="__main__", alter_sys=True)
"""
BLOCKED = (
    "clarity,scipy,numba,pandas,soundfile,soxr,julius,pyloudnorm,hydra,omegaconf,yaml,matplotlib,"
    "PIL,jinja2,tqdm,pydantic,filelock,safetensors,huggingface_hub,partitura,lxml,metadata_tools"
)


def test_a_training_moves_to_a_bare_machine_and_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_material(tiny_material(), tmp_path / "pack.npz")
    words = (
        "loop.steps=2",
        "loop.validate_every=1",
        *SHORT,
        "model=waveunet",
        "loop.precision=float32",
    )
    done = run_python("-c", BARE, BLOCKED, "pack.npz", "bare", *words, cwd=tmp_path, timeout_s=300)
    assert done.returncode == 0, done.stderr
    call(train_command, "train", "path.pack=pack.npz", "path.exp_folder=full", *words)
    bare, full = (load_checkpoint(Path(name) / "best.safetensors") for name in ("bare", "full"))
    assert bare.arguments == full.arguments
    for one, other in zip(bare.parameters(), full.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-3)
    assert torch.load("bare/state.pt", weights_only=True)["step"] == 2
    # The training continues here.
    shutil.copytree("bare", "back")
    call(train_command, "train", "path.pack=pack.npz", "path.exp_folder=back", *words,
         "loop.steps=3")  # fmt: skip
    assert len(Path("back/log.csv").read_text().splitlines()) == 4


def test_other_processes_render_the_same_mixtures(tmp_path):
    save_material(tiny_material(), tmp_path / "pack.npz")
    words = [*SHORT, "model=waveunet", "loop.steps=2", "loop.precision=float32"]
    best = []
    for processes in (0, 1):
        config = configuration([*words, f"processes={processes}"])
        best.append(train_from_pack(tmp_path / "pack.npz", tmp_path / str(processes), config))
    one, other = (read_weights(path) for path in best)
    assert one[1] == other[1]
    for key, value in one[0].items():
        torch.testing.assert_close(value, other[0][key], rtol=0, atol=1e-3)
    further = configuration([*words, "loop.steps=1", "processes=0", f"init_from={best[0]}"])
    header = read_weights(train_from_pack(tmp_path / "pack.npz", tmp_path / "further", further))[1]
    assert json.loads(header["training"])["init_from"] == "best.safetensors"


def test_the_defaults_are_those_of_train():
    add_choices()
    with initialize_config_module("cmss.conf", version_base=None):
        config = compose("train", ["data=rendered"])
    for section in SECTIONS:
        assert defaults(section) == config[section]
    own = configuration(["loop.steps=7", "+loss.remix=2", "model=waveunet"])
    assert (own["loop"]["steps"], own["loss"], own["model"]) == (7, {"remix": 2}, "waveunet")
    assert own.keys() - {"processes"} <= {field.name for field in fields(TrainKeys)}
    with pytest.raises(ValueError, match=r"loop\.step: no such key"):
        configuration(["loop.step=7"])


def test_stand_ins_give_the_results_of_the_libraries():
    for edges in ([0.16, 0.256], [0.4, 0.64], [0.64]):
        ours = stand_ins.firwin(129, np.array(edges))
        np.testing.assert_allclose(
            ours, firwin(129, edges, window="hann", pass_zero=False), atol=1e-12
        )
    tensors = {"b": torch.randn(3, 4), "a": torch.randn(5).half(), "c": torch.arange(3)}
    content = stand_ins.save_tensors(tensors, {"model": "x"})
    assert len(content) == len(save(tensors, {"model": "x"}))
    for key, value in load(content).items():
        assert torch.equal(value, tensors[key])
    assert json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"] == {
        "model": "x"
    }


def test_nothing_is_replaced_where_all_libraries_are_installed():
    assert stand_ins.install() == []


def test_a_packed_file_of_the_tests_can_be_read(tmp_path):
    save_material(tiny_material(), tmp_path / "pack.npz")
    assert load_material(tmp_path / "pack.npz").summary == tiny_material().summary
