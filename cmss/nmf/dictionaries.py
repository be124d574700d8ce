"""Learns templates of instruments from isolated recordings; reads and writes template files."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from cmss.errors import InputError
from cmss.files.atomic import write_bytes
from cmss.nmf.factors import initial_activations, update_activations, update_templates
from cmss.nmf.spectrogram import Analysis

HEADER = "nmf_dictionaries"
"""The only key in the header of a file; the order of several keys would differ between calls."""


@dataclass(frozen=True)
class Dictionaries:
    """Holds the templates of each instrument, and the analysis of the training spectrograms.

    Args:
        analysis: settings of the spectrograms from which the templates were learned.
        templates: dict from the instrument to its templates, an array of shape
            (lags, bands, components). The template of each component sums to 1.
    """

    analysis: Analysis
    templates: Mapping[str, Tensor]


def learn_templates(
    V: Tensor, analysis: Analysis, components: int, lags: int, iterations: int, seed: int
) -> Tensor:
    """Learn the templates of an instrument.

    Templates are initialised with excerpts of the spectrogram. Excerpts are drawn at random with a
    probability proportional to their level, so that most excerpts contain a note and not a pause.

    Args:
        V: spectrogram of the instrument alone, an array of shape (bands, frames) with a positive
            sum.
        analysis: the analysis that computed the spectrogram.
        components: number of templates.
        lags: number of frames in each template.
        iterations: number of updates of templates and activations.
        seed: seed of the random draw of excerpts.

    Returns:
        The templates in float32, an array of shape (lags, bands, components). The template of each
        component sums to 1.
    """
    V = analysis.scaled(V)
    starts = V[:, : max(V.shape[-1] - lags + 1, 1)].sum(0)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.multinomial(starts, components, replacement=True, generator=generator)
    # The initial templates (lags, bands, components) are excerpts of the spectrogram.
    W = torch.stack([V[:, (drawn + lag).clamp(max=V.shape[-1] - 1)] for lag in range(lags)])
    H = initial_activations(V, W)
    for _ in range(iterations):
        W = update_templates(V, W, H, analysis.divergence)
        H = update_activations(V, W, H, analysis.divergence)
    return W / W.sum((0, 1))


def save_dictionaries(path: Path, dictionaries: Dictionaries, notes: Mapping[str, str]) -> None:
    """Write templates (in float16) together with the settings of their analysis.

    Args:
        path: file to write. The file is created only when the complete content has been written.
        dictionaries: templates and analysis to write.
        notes: further entries of the file's header, such as the recordings used for training.
    """
    # Small numbers lose precision in float16, so each template is scaled to a maximum of 1.
    tensors = {
        instrument: (W / W.amax((0, 1))).half().contiguous()
        for instrument, W in dictionaries.templates.items()
    }
    header = json.dumps({**notes, "analysis": asdict(dictionaries.analysis)})
    write_bytes(path, save(tensors, {HEADER: header}))


def load_dictionaries(path: Path) -> Dictionaries:
    """Read a file that :func:`save_dictionaries` wrote.

    Raises:
        InputError: the file is missing or incomplete, or was not written by
            :func:`save_dictionaries`.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error})") from error
    if HEADER not in header:
        raise InputError(
            f"{path}: no key {HEADER} in its header, expected a file written by fit_dictionaries.py"
        )
    try:
        analysis = Analysis(**json.loads(header[HEADER])["analysis"])
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: header key {HEADER} is not as expected ({error})") from error
    return Dictionaries(analysis, {key: W / W.sum((0, 1)) for key, W in tensors.items()})
