"""Implements `separator=casa`: computational auditory scene analysis, see :mod:`cmss.casa`.

The input is the mean of both channels. The time-frequency units of a cochlear filterbank are
grouped into notes by pitch and onset. Each note is assigned to the instrument whose templates (of
`separator=nmf`) fit the timbre of the note. The mask of an instrument is 1 in the time-frequency
units of this instrument's notes. Time-frequency units without a note are divided equally among
instruments.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmss.audio import resample
from cmss.casa.grouping import NO_NOTE, find_notes
from cmss.casa.pitch import PitchTrack
from cmss.casa.streams import assign, template_divergences
from cmss.casa.units import CENTRES_HZ, FRAME_HZ, SAMPLE_RATE_HZ
from cmss.separators.estimators import Segments
from cmss.separators.templates import TemplateSeparator


@dataclass
class CASASeparator(TemplateSeparator):
    """Separator that groups time-frequency units by pitch, onset and timbre."""

    model = "casa"
    # The correlogram of a segment takes 160 MB.
    segments = Segments(segment=10.0)

    def _masks(
        self,
        signal: Tensor,
        spectra: Tensor,
        templates: Mapping[str, Tensor],
        players: Counter[str],
    ) -> Tensor:
        analysis = self._dictionaries.analysis
        mono = signal.mean(0).numpy()
        V = analysis.spectrogram(spectra.mean(0))
        # Frames of the auditory model that are nearest to the frames of the spectrogram.
        frames = np.rint(FRAME_HZ * analysis.frame_times_s(V.shape[1]).numpy()).astype(int)
        owners, tracks = find_notes(
            resample(mono[None], analysis.sample_rate_hz, SAMPLE_RATE_HZ)[0], players.total()
        )
        inside = (frames >= 0) & (frames < owners.shape[1])
        owners = np.where(inside, owners[:, frames.clip(0, owners.shape[1] - 1)], NO_NOTE)
        spread = _spread(analysis.band_centres_hz().numpy())
        playing = np.array(self._instruments(V, spread, owners, tracks, templates, players))
        masks = torch.stack(
            [
                spread @ torch.from_numpy(np.isin(owners, np.flatnonzero(playing == name))).float()
                for name in templates
            ]
        )
        # The masks have the shape (instruments, bands, frames). Time-frequency units without a note
        # are divided equally among instruments.
        masks = masks + (1 - masks.sum(0)) / len(templates)
        return masks[:, None].expand(-1, 2, -1, -1)

    def _instruments(
        self,
        V: Tensor,
        spread: Tensor,
        owners: NDArray[np.int64],
        tracks: Sequence[PitchTrack],
        templates: Mapping[str, Tensor],
        players: Counter[str],
    ) -> list[str]:
        """Assign an instrument to each pitch track by the spectrum of its time-frequency units."""
        spectra = [
            (V * (spread @ torch.from_numpy(owners == number).float())).sum(1)
            for number in range(len(tracks))
        ]
        if not spectra:
            return []
        notes = torch.stack(spectra, 1)  # (bands, notes)
        costs = template_divergences(notes, templates)
        spans = [(track.onset, track.last) for track in tracks]
        return assign(spans, notes.sum(0).tolist(), costs, players)


def _spread(bands_hz: NDArray[np.float32]) -> Tensor:
    """Return weights (bands, channels) that interpolate from filterbank channels to bands.

    The weights of each band sum to 1.
    """
    channels = np.eye(len(CENTRES_HZ))
    rows = [np.interp(bands_hz, CENTRES_HZ, channel) for channel in channels]
    return torch.from_numpy(np.stack(rows, 1)).float()
