"""Trains a network from a packed file of notes and scores, with PyTorch and NumPy alone.

    python -m cmss.training.from_pack FILE.npz FOLDER [model=NAME size=SIZE loop.steps=N ...]

FILE.npz is a file that `metadata_tools.pack` wrote. FOLDER is the folder for the state, the log and
the weights. The keys, the default values and the output files are the same as in
`train.py data=rendered`. Each program can therefore continue a training that the other program
started. If pydantic is not installed, the values of the keys are not checked. In this case, first
run a training of a few steps as a test.
"""

import json
import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cmss.machine import stand_ins

SECTIONS = {"mixtures": "train.yaml", "loop": "train.yaml", "data": "data/rendered.yaml"}
"""Dict from a section of the configuration to the file in cmss/conf with the default values."""
SINGLE: dict[str, Any] = {
    "model": "convtasnet",
    "size": "small",
    "instrument": None,
    "init_from": None,
    "device": None,
    "seed": 1,
    "processes": None,
}
"""Keys outside the sections, and the default values of these keys. `processes` is the number of
processes that render mixtures. If `processes` is 0, the training process renders the mixtures. If
`processes` is null, the value is 0 without a GPU, and the number of cores minus one with a GPU."""


def defaults(section: str) -> dict[str, Any]:
    """Read the default values of a section of the configuration without a YAML library."""
    path = Path(__file__).parents[1] / "conf" / SECTIONS[section]
    lines = path.read_text(encoding="utf-8").splitlines()
    first = lines.index(next(line for line in lines if line.split("#")[0].strip() == f"{section}:"))
    values = {}
    for line in lines[first + 1 :]:
        text = line.split("#")[0].rstrip()
        if text and not text.startswith(" "):
            break
        if text:
            key, _, value = text.strip().partition(": ")
            values[key] = _value(value.strip())
    return values


def _value(text: str) -> Any:
    """Convert the text of a value from JSON; return the text if the text is not valid JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def configuration(words: Sequence[str]) -> dict[str, Any]:
    """Return the default configuration, changed by arguments of the form KEY=VALUE.

    Args:
        words: arguments of the form KEY=VALUE.

    Raises:
        ValueError: an argument does not have the form KEY=VALUE, or the key does not exist. The
            message begins with the key.
    """
    config: dict[str, Any] = {name: defaults(name) for name in SECTIONS}
    config["loss"] = {}
    config.update(SINGLE)
    for word in words:
        key, equals, value = word.lstrip("+").partition("=")
        section, _, name = key.rpartition(".")
        values: Any = config.get(section) if section else config
        known = isinstance(values, dict) and (name in values or section == "loss")
        if not equals or not known or isinstance(config.get(key), dict):
            raise ValueError(f"{key}: no such key, expected KEY=VALUE with a key of train.py")
        values[name] = _value(value)
    return config


_rendered: dict[str, Any] = {}
"""Dict from the split (`training` or `validation`) to the mixtures of a rendering process."""


def _mixtures(
    pack: Path, config: dict[str, Any], index: dict[str, int], rate_hz: int, threads: int
) -> tuple[Any, Any, str]:
    """Read a packed file, and call :func:`cmss.training.rendered.rendered_mixtures`."""
    # Import these modules after `install`, because the modules need libraries that may be missing.
    from cmss.rendering.effects import EffectSettings
    from cmss.rendering.packed_material import load_material
    from cmss.settings import from_settings
    from cmss.training.mixtures import MixtureSettings
    from cmss.training.rendered import rendered_mixtures

    effects = {key: value for key, value in config["data"].items() if key != "name"}
    return rendered_mixtures(
        load_material(pack).at_rate(rate_hz, str(pack)),
        from_settings(EffectSettings, effects, "data"),
        index,
        from_settings(MixtureSettings, config["mixtures"], "mixtures"),
        config["seed"],
        config["instrument"],
        threads,
    )


def _start(pack: Path, config: dict[str, Any], index: dict[str, int], rate_hz: int) -> None:
    """Initialise a rendering process."""
    stand_ins.install()
    torch.set_num_threads(1)
    _rendered["training"], _rendered["validation"], _ = _mixtures(pack, config, index, rate_hz, 1)


def _render(split: str, step: int) -> tuple[Any, ...]:
    """Render a batch in a process that :func:`_start` has initialised."""
    batch = _rendered[split].batch(step)
    return batch.stems.numpy(), batch.index.numpy(), batch.gains.numpy()


class InProcesses:
    """Renders the batches of later steps in other processes while a network is trained.

    Args:
        pool: processes that :func:`_start` has initialised.
        split: `training` or `validation`.
        steps: number of steps.
        ahead: number of batches that are rendered in advance.
    """

    def __init__(self, pool: ProcessPoolExecutor, split: str, steps: int, ahead: int) -> None:
        self.pool, self.split, self.steps, self.ahead = pool, split, steps, ahead
        self._waiting: dict[int, Future] = {}

    def batch(self, step: int) -> Any:
        """Return the batch of a training step."""
        from cmss.training.mixtures import Batch

        for later in range(step, min(step + self.ahead, self.steps)):
            if later not in self._waiting:
                self._waiting[later] = self.pool.submit(_render, self.split, later)
        return Batch(*map(torch.from_numpy, self._waiting.pop(step).result()))


def train_from_pack(pack: Path, folder: Path, config: dict[str, Any]) -> Path:
    """Train a network, or continue its training, and return the path of the best weights.

    Args:
        pack: packed file of notes and scores.
        folder: folder for the state, the log and the weights.
        config: configuration of :func:`configuration`.

    Raises:
        InputError: a file cannot be read, or a value is not valid.
        FloatingPointError: the loss or its gradient is not finite.
    """
    from cmss.machine.device import device_named
    from cmss.machine.processor import cores
    from cmss.models.outputs import player_index
    from cmss.run.forms import without_folders
    from cmss.settings import from_settings
    from cmss.training.loop import LoopSettings, train
    from cmss.training.presets import preset

    instrument, device = config["instrument"], device_named(config["device"])
    seed = config["seed"]
    loop = from_settings(LoopSettings, {**config["loop"], "haaqi_every": 0}, "loop")
    size = preset(config["model"], config["size"])
    model = size.initial_network(seed, instrument, config["init_from"])
    index = player_index(model.sources, instrument)
    given = (pack, config, index, model.sample_rate_hz)
    training, validation, data = _mixtures(*given, threads=cores())
    folder = folder / (instrument or "")
    folder.mkdir(parents=True, exist_ok=True)
    shown = {key: value for key, value in config.items() if key not in ("device", "processes")}
    notes = {"training": json.dumps(without_folders(shown)), "data": data}
    loss = size.build_loss(config["loss"])
    # On a GPU, training is faster than rendering in a single process. On a CPU, training and
    # rendering share the same cores.
    processes = config["processes"]
    if processes is None:
        processes = max(1, cores() - 1) if device.type != "cpu" else 0
    train_on = partial(
        train, model.to(device), loss, settings=loop, folder=folder, notes=notes, seed=seed
    )
    if not processes:
        return train_on(training, validation)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _start, given) as pool:
        try:
            return train_on(
                InProcesses(pool, "training", loop.steps, 2 * processes),
                InProcesses(pool, "validation", loop.validation_batches, loop.validation_batches),
            )
        finally:
            pool.shutdown(cancel_futures=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status, which is 2 if the input cannot be used."""
    words = [*(sys.argv[1:] if arguments is None else arguments)]
    if len(words) < 2 or any("=" in word for word in words[:2]):
        print(__doc__)
        return 0 if words in (["-h"], ["--help"]) else 2
    if missing := stand_ins.install():
        print(f"not installed, and not needed for the training: {', '.join(missing)}")
    from cmss.command_line import exit_status
    from cmss.errors import InputError

    def work() -> None:
        try:
            config = configuration(words[2:])
        except ValueError as error:
            raise InputError(str(error)) from error
        print(train_from_pack(Path(words[0]), Path(words[1]), config))

    return exit_status(work, "from_pack")


if __name__ == "__main__":
    sys.exit(main())
