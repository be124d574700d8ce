"""Writes a trained network to a folder for the Hugging Face hub.

    python -m cmss.training.publish exp/train/convtasnet_small/best.safetensors FOLDER

The program writes a copy of the weights, the arguments of the network (config.json) and a model
card (README.md) to FOLDER. The model card shows the training settings from the header of the
weights file, and the best validation from the log of the training. The log has the name of the
weights file with the suffix .csv. If this file does not exist, the program reads log.csv in the
same folder. The published network can be loaded by `from_pretrained(FOLDER)` or
`separator.weights_from=FOLDER`. The command `hf upload NAME FOLDER` uploads the folder to the hub.
"""

import argparse
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cmss.command_line import exit_status
from cmss.errors import InputError
from cmss.files.atomic import atomic_folder
from cmss.files.text import read_table
from cmss.models.checkpoint import load_checkpoint
from cmss.models.network import WEIGHTS, Network
from cmss.models.outputs import TARGET
from cmss.models.registry import records
from cmss.models.weights_file import read_weights

CARD = """
# {title}

Separates a stereo recording of classical chamber music into {what}, so that it can be remixed for a
listener with a hearing loss: task 2 of the
[Second Cadenza Challenge](https://cadenzachallenge.org/docs/cadenza2/intro). Trained and used with
the Python package `cmss`.

| network | |
| --- | --- |
{network}

## Training

| training | |
| --- | --- |
{training}

{settings}
## Use

```python
from {module} import {kind}

network = {kind}.from_pretrained("{folder}")  # or its name on the hub
{call}
```

The shape of `mixture` is (batch, 2, samples), that of `estimates` (batch, outputs, 2, samples). If
the network has the argument `present`, bool (batch, outputs), it marks the outputs with a player.

To enhance all scenes of a data set of the challenge:

    python recipes/cad2/enhance.py path.root=DATA separator={separator} {weights_from}
"""


@dataclass(frozen=True)
class TrainingRecord:
    """Holds the documentation of a training, from the header of the weights file and the log.

    Args:
        settings: configuration of the training as YAML; empty if the header of the weights file
            contains no configuration.
        data: description of the training data.
        log: rows of log.csv.
    """

    settings: str
    data: str
    log: Sequence[dict[str, str]]

    @classmethod
    def read(cls, weights: Path) -> "TrainingRecord":
        """Read the header of a weights file, and the log in the same folder if there is one.

        Raises:
            InputError: the weights or their log cannot be read.
        """
        _, header = read_weights(weights)
        log: list[dict[str, str]] = []
        logs = (weights.with_suffix(".csv"), weights.with_name("log.csv"))
        if path := next((path for path in logs if path.is_file()), None):
            columns = ("step", "seconds", "validation_loss", "sdr_improvement_db")
            log = [row for _, row in read_table(path, columns).rows]
            try:
                for row in log:
                    for name in columns:
                        float(row[name])
            except ValueError as error:
                raise InputError(f"{path}: not the log of a training: {name}: {error}") from error
        return cls(header.get("training", ""), header.get("data", ""), log)

    @property
    def instrument(self) -> str | None:
        """The instrument that the network was trained to estimate; None for all instruments."""
        found = re.search(r"^instrument: (\w+)$", self.settings, re.MULTILINE)
        return found[1] if found and found[1] != "null" else None

    def rows(self) -> dict[str, str]:
        """Return the table of the training: the data, the duration and the best validation."""
        rows = {"data": self.data or "not recorded"}
        if self.log:
            last = self.log[-1]
            best = min(self.log, key=lambda row: float(row["validation_loss"]))
            rows |= {
                "duration": f"{last['step']} steps, {float(last['seconds']) / 3600:.1f} h",
                "best validation": f"step {best['step']}, with the lowest loss",
                "validation loss": best["validation_loss"],
                "SDR improvement on validation": f"{float(best['sdr_improvement_db']):.2f} dB",
            }
            measured = [row for row in self.log if row.get("haaqi")]
            rows |= {
                f"HAAQI on validation, step {row['step']}": row["haaqi"] for row in measured[-1:]
            }
        return rows


def publish(weights: Path, folder: Path, data: str = "", licence: str = "mit") -> None:
    """Write a network to a new folder; after a failure, the incomplete folder is deleted.

    Args:
        weights: path of a weights file written by train.py.
        folder: path of the new folder.
        data: description of the training data, such as the names and licences of data sets.
        licence: identifier of the licence of the weights in the format of the hub, such as "mit".

    Raises:
        InputError: the weights cannot be read, or the folder exists.
    """
    if folder.exists():
        raise InputError(f"{folder}: exists, expected a new folder")
    network, record = load_checkpoint(weights), TrainingRecord.read(weights)
    record = TrainingRecord(
        record.settings, "; ".join(filter(None, (data, record.data))), record.log
    )
    card = network.generate_model_card()
    card.data["license"] = licence
    about = {"weights": f"{weights.stat().st_size / 1e6:.1f} MB", "licence": licence}
    card.text = _text(network, record, about, folder.name)
    with atomic_folder(folder) as temporary:
        shutil.copyfile(weights, temporary / WEIGHTS)
        network.save_config(temporary)
        card.save(temporary / "README.md")


def _text(network: Network, record: TrainingRecord, about: Mapping[str, str], folder: str) -> str:
    """Return the text of a model card.

    Args:
        network: the published network.
        record: documentation of the training of this network.
        about: dict from names to values. Each name and its value become a row of the table that
            describes the network.
        folder: name of the published folder, for the examples in the model card.
    """
    kind, rate_hz, reach = type(network), network.sample_rate_hz, network.reach
    single = TARGET in network.sources
    instrument = record.instrument or "one instrument"
    rows = {
        "model": f"`{network.model_name}`, its arguments in `config.json`",
        "parameters": f"{sum(parameter.numel() for parameter in network.parameters()):,}",
        "input": f"stereo mixture at {rate_hz} Hz",
        "outputs": ", ".join(network.sources),
        "look-ahead": "the entire mixture"
        if reach is None
        else f"{1e3 * reach.future / rate_hz:.1f} ms",
        **about,
    }
    settings = ""
    if record.settings:
        settings = f"The configuration:\n\n```yaml\n{record.settings.rstrip()}\n```\n"
    return CARD.format(
        title=f"{kind.__name__} for {instrument}" if single else kind.__name__,
        what=f"{instrument} and the accompaniment" if single else "its instruments",
        network=_rows(rows),
        training=_rows(record.rows()),
        settings=settings,
        module=kind.__module__,
        kind=kind.__name__,
        folder=folder,
        # A network of a single instrument has no argument for the sources that play.
        call="estimates = network(mixture)" if single else "estimates = network(mixture, present)",
        separator=next(
            record.name
            for record in records()
            if record.separates and isinstance(network, record.network)
        ),
        # For a network of a single instrument, `weights_from` is the folder that contains the
        # folders of all instruments.
        weights_from=f"separator.weights_from={'.' if single else folder}",
    )


def _rows(cells: Mapping[str, str]) -> str:
    return "\n".join(f"| {name} | {value} |" for name, value in cells.items())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with a command line, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m cmss.training.publish",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("weights", type=Path, metavar="FILE.safetensors",
        help="path of the weights file that train.py has written")  # fmt: skip
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="path of the new folder")
    parser.add_argument("--data", default="", metavar="TEXT",
        help="description of the training data, with names and licences")  # fmt: skip
    parser.add_argument("--licence", default="mit", metavar="ID",
        help="identifier of the licence on the hub; default: %(default)s")  # fmt: skip
    options = parser.parse_args(arguments)

    def work() -> str:
        publish(options.weights, options.folder, options.data, options.licence)
        return str(options.folder)

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
