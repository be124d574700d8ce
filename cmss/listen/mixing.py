"""Makes the page with which a listener mixes the players of a recording in a browser."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmss.audio import loudness_of_pieces
from cmss.errors import InputError
from cmss.files.output_file import check_output_file
from cmss.listen.inputs import stated_seconds
from cmss.listen.processing import (
    HEADROOM_DB,
    SAMPLE_RATE_HZ,
    level_limit,
    remixed,
)
from cmss.machine.pieces import pieces
from cmss.pages import LONGEST_S, write_page
from cmss.pages.mixing_page import Level, Measured, Player
from cmss.run.configuration import default_hearing_aid
from cmss.scenes import EXPECTED_LUFS, Listener, Scene
from cmss.separators import Stems

INDEX = "index.html"


def check_page(folder: Path, recording: Path, inputs: list[Path]) -> None:
    """Check that the page of a recording can be written.

    The length of a recording that ffmpeg has to decode is only known after decoding, see
    :func:`check_length`.

    Raises:
        InputError: the folder is a file, the page would replace one of `inputs`, or the recording
            is too long.
        OSError: the page cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--page {folder}: is a file, expected a folder")
    check_output_file(folder / INDEX, "--page", inputs=inputs)
    if recording.is_file():
        check_length(recording, stated_seconds(recording))


def check_length(recording: Path, seconds: float) -> None:
    """Check the length of a recording before its separation.

    Raises:
        InputError: the recording is longer than `LONGEST_S`.
    """
    if seconds > LONGEST_S:
        raise InputError(
            f"{recording}: lasts {seconds:.0f} s, expected at most {LONGEST_S:.0f} s for --page; "
            "cut the recording, use cmss desk for at most 600 s, or use -o without --page"
        )


def make_page(
    folder: Path,
    title: str,
    mixture: NDArray[np.float32],
    stems: Stems,
    ears: NDArray[np.float32],
    scene: Scene,
    listener: Listener,
    sounds: Sequence[str] | None = None,
) -> Path:
    """Write the page of a recording, and return the path of the page.

    Args:
        folder: folder of index.html.
        title: name of the recording on the page.
        mixture: mixture (2, samples) with a loudness of -40 LUFS.
        stems: dict from the id of a player to the stem (2, samples).
        ears: the remix, amplified for the listener (2, samples).
        scene: the players, and the gains that the page shows first.
        listener: the listener.
        sounds: names of sound files in the folder, see :func:`cmss.pages.write_page`.
    """
    players = [
        Player(key.replace("_", " "), source.instrument, _decibels(scene.gains_db[key]))
        for key, source in scene.track.sources.items()
    ]
    remix_lufs = loudness_of_pieces(remixed(mixture, stems, scene), SAMPLE_RATE_HZ)
    limit = level_limit(remix_lufs)

    def unaided() -> Iterator[NDArray[np.floating]]:
        return (limit * piece for piece in remixed(mixture, stems, scene))

    measured = Measured(
        limit,
        Level.of(unaided(), remix_lufs + 20 * float(np.log10(limit))),
        Level.of(pieces(ears), loudness_of_pieces(pieces(ears), SAMPLE_RATE_HZ)),
        Level.of(pieces(mixture), EXPECTED_LUFS),
    )
    index = folder / INDEX
    write_page(
        index,
        title,
        mixture,
        [stems[key] for key in scene.track.sources],
        players,
        default_hearing_aid(SAMPLE_RATE_HZ),
        listener,
        HEADROOM_DB,
        measured,
        sounds,
    )
    return index


def _decibels(gain_db: float) -> float | None:
    """Return a gain in dB; None if the player is muted."""
    return None if gain_db == -np.inf else gain_db
