"""Writes a page with a gain slider for each player and a simulated hearing aid.

The page contains the mixture and the stems as FLAC files with 24 bits, or loads these files from a
server. A page that contains the files needs no server. In the browser, engine.js computes the remix
and simulates the hearing aid. The file engine.js uses the same algorithms as cmss/remix.py and
cmss/hearing/hearing_aid.py.
"""

import base64
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from cmss.audio import k_weighting, write_sound
from cmss.files.atomic import atomic_file
from cmss.hearing.hearing_aid import HearingAid
from cmss.machine.pieces import Pieces, pieces
from cmss.scenes import EXPECTED_LUFS, Listener

LONGEST_S = 300.0
"""Maximum length in seconds of the recording on a page that contains its sounds. A browser decodes
all stems into memory; each stem takes 21 MB per minute. A browser reads files of at most a few
hundred MB."""
START_DB = -20
"""Initial volume of a page in dB relative to `COMFORTABLE_LUFS`."""
COMFORTABLE_LUFS = -23.0
"""Loudness of the page's sound at full volume. EBU R 128 recommends this loudness."""
HIGHEST_PEAK_DB = -2.0
"""Largest magnitude of a sample at full volume, in dB re full scale. The true peak of
music is rarely more than 1 dB higher than the largest magnitude of a sample."""
_FULL_SCALE = 0.99
_MARK = "<!-- sounds -->"


@dataclass(frozen=True)
class Player:
    """Holds the name, the instrument and the initial gain of a player of the recording.

    Args:
        name: name of the player on the page.
        instrument: name of the instrument in the option --instruments.
        gain_db: initial gain in dB. If `gain_db` is None, the player is muted.
    """

    name: str
    instrument: str
    gain_db: float | None


@dataclass(frozen=True)
class Level:
    """Holds the loudness and the peak of a signal.

    Args:
        lufs: loudness in LUFS, or None if the signal is silent.
        peak: largest magnitude of a sample.
    """

    lufs: float | None
    peak: float

    @classmethod
    def of(cls, signal: Pieces, lufs: float) -> "Level":
        """Return the level of a signal whose loudness in LUFS is already known."""
        peak = max((float(np.abs(piece).max(initial=0.0)) for piece in signal), default=0.0)
        return cls(lufs if math.isfinite(lufs) else None, peak)


@dataclass(frozen=True)
class Measured:
    """Holds the levels of the mixture, and of the remix at the initial gains of the page.

    Args:
        limit: factor that attenuates a remix that is too loud for the hearing aid; see
            :func:`cmss.listen.processing.level_limit`.
        unaided: level of the remix after the multiplication by `limit`.
        aided: level of the remix after the hearing aid.
        original: level of the mixture.
    """

    limit: float
    unaided: Level
    aided: Level
    original: Level


def write_page(
    path: Path,
    title: str,
    mixture: NDArray[np.float32],
    stems: Sequence[NDArray[np.float32]],
    players: Sequence[Player],
    hearing_aid: HearingAid,
    listener: Listener,
    headroom_db: float,
    measured: Measured,
    sounds: Sequence[str] | None = None,
) -> None:
    """Write the page of a recording.

    Args:
        path: the HTML file.
        title: name of the recording.
        mixture: mixture (2, samples) with a loudness of -40 LUFS.
        stems: the stem (2, samples) of each player.
        players: the players, in the order of `stems`.
        hearing_aid: hearing aid that the page simulates.
        listener: listener. The compressors of the hearing aid are set for the ears of `listener`.
        headroom_db: number of dB by which the loudness of a remix may exceed -40 LUFS.
        measured: levels of the mixture, and of the remix at the gains of `players`.
        sounds: names of the sound files of the mixture and of each stem. :func:`write_track` writes
            such files. With `sounds`, the page loads the files from its folder on a server and
            contains no sound. If `sounds` is None, the page contains the sounds.

    Raises:
        FloatingPointError: a stem is not finite.
        OSError: the file cannot be written.
    """
    tracks = (mixture, *stems)
    scale = common_scale(tracks)
    page = {
        "title": title,
        "name": Path(title).stem,
        "listener": f"the hearing of listener {listener.id}",
        "rate": int(hearing_aid.sample_rate_hz),
        "scale": scale,
        "sounds": None if sounds is None else list(sounds),
        "volume_db": START_DB,
        "players": [asdict(player) for player in players],
        "ears": [
            _ear(hearing_aid, listener.left.compression),
            _ear(hearing_aid, listener.right.compression),
        ],
        "measured": asdict(measured),
        "loudness": {
            "sections": k_weighting(int(hearing_aid.sample_rate_hz)).tolist(),
            "designed": EXPECTED_LUFS,
            "headroom_db": headroom_db,
            "comfortable": COMFORTABLE_LUFS,
            "peak_db": HIGHEST_PEAK_DB,
        },
    }
    before, after = _html(page).split(_MARK)
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(before)
        for number, track in enumerate(tracks if sounds is None else ()):
            file.write(f'<script type="text/plain" class="sound" id="sound-{number}">')
            file.write(_base64(track, scale, int(hearing_aid.sample_rate_hz)))
            file.write("</script>\n")
        file.write(after)


def common_scale(tracks: Sequence[NDArray[np.float32]]) -> float:
    """Return the common factor for all tracks of a page.

    With this factor, the largest sample of all tracks is close to full scale. Therefore 24 bits
    suffice for soft mixtures.
    """
    peak = max(float(np.abs(piece).max(initial=0.0)) for track in tracks for piece in pieces(track))
    return _FULL_SCALE / peak


def write_track(path: Path, track: NDArray[np.float32], scale: float, sample_rate_hz: int) -> None:
    """Write a signal (2, samples), multiplied by a factor, as a FLAC file with 24 bits."""
    scaled = (np.float64(scale) * piece for piece in pieces(track))
    write_sound(path, scaled, len(track), sample_rate_hz, "24")


def asset(name: str) -> str:
    """Return the text of a file of this package, such as player.js."""
    return (files("cmss.pages") / name).read_text(encoding="utf-8")


def _html(page: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("cmss", "pages"), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("mixer.html").render(
        page=page,
        styles="".join(map(asset, ("player.css", "mixer.css"))),
        scripts="".join(map(asset, ("engine.js", "player.js", "mixer.js"))),
    )


def _ear(hearing_aid: HearingAid, compression: Any) -> dict[str, Any]:
    """Return the settings of the class Ear in engine.js."""
    names = ("low_pass", "high_pass", "all_pass", "threshold_db", "slope", "attack", "release")
    values = hearing_aid.parameters(compression)
    return {name: value.tolist() for name, value in zip((*names, "gain_db"), values, strict=True)}


def _base64(track: NDArray[np.float32], scale: float, sample_rate_hz: int) -> str:
    """Return a signal (2, samples) as a FLAC file with 24 bits, encoded in Base64."""
    with tempfile.TemporaryDirectory() as folder:
        flac = Path(folder) / "track.flac"
        write_track(flac, track, scale, sample_rate_hz)
        return base64.b64encode(flac.read_bytes()).decode()
