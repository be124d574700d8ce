"""Writes the HTML report of a run: a folder with index.html, which needs no server or network."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from cmss.audio import write_flac, write_sound
from cmss.files.atomic import atomic_folder
from cmss.models.outputs import output_name
from cmss.pages.mixing_page import asset
from cmss.report import figures
from cmss.report.data import RunScores, read_run
from cmss.report.panels import hearing, png, time_and_frequency
from cmss.report.recordings import equally_loud, versions
from cmss.results.comparison import Difference, compare_folders
from cmss.run.scoring import Scorer
from cmss.run.submission import Progress
from cmss.scenes import Pair, SoundFiles

REPORT = "report"
SHOWN = 10
"""Number of pairs with the highest scores for which the report has sounds. The report also has
sounds for the same number of pairs with the lowest scores."""

OPUS_COMPRESSION = 0.9
"""Gives about 60 kbit/s in stereo, a tenth of the size of FLAC."""


@dataclass(frozen=True)
class Picture:
    """Describes an image that the page shows.

    Args:
        file: path of the image, relative to the page.
        caption: text below the image.
    """

    file: str
    caption: str


@dataclass(frozen=True)
class Detail:
    """Holds the data and the sounds that the page shows for one pair of scene and listener.

    Args:
        row: row of the pair in the table of scores, see :func:`cmss.report.data.score_table`.
        gains: the name and the gain in dB of each player.
        sounds: dict from the name of a version, such as "enhanced", to the path of its sound files
            without suffix. Each version has a FLAC file and an Opus file.
        bundle: path of the script that contains the Opus files for the audio player of the page.
        pictures: pictures of all versions and of the listener's hearing.
    """

    row: Any
    gains: list[tuple[str, float]]
    sounds: dict[str, str]
    bundle: str
    pictures: list[Picture]


def write_report(
    folder: Path,
    pairs: Sequence[Pair],
    scorer: Scorer,
    beside: Sequence[Path] = (),
    progress: Progress = iter,
    stems: bool = False,
    sounds: SoundFiles | None = None,
) -> Path:
    """Write the folder `report` of a scored run, with index.html, figures and sounds.

    Only the pairs with the highest and the lowest scores have sounds, so that the size of the
    folder does not depend on the number of pairs.

    Args:
        folder: the run's folder, with scores.csv and the enhanced files.
        pairs: all pairs of the run, in the official order.
        scorer: scorer that computes the references.
        beside: folders of other runs with the same pairs; the run is compared with these runs.
        progress: function that wraps a list of pairs in a progress bar, such as tqdm.
        stems: whether the run has stored the estimated stems. If `stems` is true, the page contains
            these stems as sounds.
        sounds: cache that reads all sound files. If `sounds` is None, a new cache is created.

    Returns:
        Path of index.html.

    Raises:
        InputError: a run has no scores, or the scores of a run belong to other pairs.
    """
    sounds = sounds or SoundFiles(int(scorer.hearing_aid.sample_rate_hz))
    runs = [read_run(each, pairs) for each in (folder, *beside)]
    table = runs[0].table.sort_values("average", kind="stable")
    shown = table if len(table) <= 2 * SHOWN else table.iloc[[*range(SHOWN), *range(-SHOWN, 0)]]
    by_name = {pair.name: pair for pair in pairs}
    rows = {row.pair: row for row in shown.itertuples()}
    with atomic_folder(folder / REPORT) as report:
        for name in ("page.css", "page.js"):
            (report / name).write_bytes((files("cmss.report") / name).read_bytes())
        for name in ("engine.js", "player.js", "player.css"):
            (report / name).write_text(asset(name), encoding="utf-8")
        for name in ("pictures", "sounds"):
            (report / name).mkdir()
        pictures = [
            _save(report, f"{name}.png", figure, caption)
            for name, figure, caption in _figures(runs, pairs)
        ]
        details = [
            _detail(report, folder, pair, rows[pair.name], scorer, stems, sounds)
            for pair in progress([by_name[name] for name in rows])
        ]
        differences = [
            (run.name, row)
            for run, other in zip(runs[1:], beside, strict=True)
            for row in compare_folders(other, folder, pairs)
        ]
        page = _render(runs, differences, pictures, details)
        (report / "index.html").write_text(page, encoding="utf-8")
    return folder / REPORT / "index.html"


def _render(
    runs: Sequence[RunScores],
    differences: Sequence[tuple[str, Difference]],
    pictures: Sequence[Picture],
    details: Sequence[Detail],
) -> str:
    """Return the HTML of the page.

    Args:
        runs: this run, followed by the runs with which this run is compared.
        differences: list of tuples (name of another run, difference between this run and the other
            run).
        pictures: figures of the run.
        details: content of the page for each pair that has sounds.
    """
    # Gap closed by each run: 0 for passthrough, 1 for oracle. The gap is only known if the runs
    # include both of these separators.
    gaps = None
    means = {run.separator: run.mean("average") for run in runs}
    low, high = means.get("passthrough"), means.get("oracle")
    if low is not None and high is not None and low != high:
        gaps = [(run.mean("average") - low) / (high - low) for run in runs]
    environment = Environment(
        loader=PackageLoader("cmss", "report"), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("page.html").render(
        run=runs[0],
        runs=runs,
        gaps=gaps,
        differences=differences,
        measured=any(run.sdr is not None for run in runs),
        pictures=pictures,
        details=details,
        shown={detail.row.pair for detail in details},
    )


def _figures(runs: Sequence[RunScores], pairs: Sequence[Pair]) -> Iterator[tuple[str, Figure, str]]:
    """Yield the name, the figure and the caption of each figure of the page."""
    run = runs[0]
    yield "all_pairs", figures.all_pairs(runs), "HAAQI of all pairs"
    yield "instruments", figures.instruments(pairs), "Instruments in the data"
    yield (
        "hearing_loss",
        figures.by_hearing_loss(run),
        "Mean HAAQI of each listener, by hearing loss",
    )
    yield "spread", figures.by_spread(run), "HAAQI by the range of the gains"
    yield "players", figures.by_players(run), "HAAQI by the number of players"


def _detail(
    report: Path,
    folder: Path,
    pair: Pair,
    row: Any,
    scorer: Scorer,
    stems: bool,
    files: SoundFiles,
) -> Detail:
    """Write the sounds and pictures of a pair.

    Args:
        report: folder of the report.
        folder: the run's folder.
        pair: pair of scene and listener.
        row: row of the pair in the table of scores.
        scorer: scorer that computes the reference.
        stems: whether to write the estimated stems as sounds as well.
        files: cache that reads the sound files.
    """
    signals, rate_hz = versions(folder, pair, scorer, stems, files)
    sounds, pictures = {}, []
    for name, signal in equally_loud(signals, rate_hz).items():
        sounds[name] = f"sounds/{pair.name}_{name}"
        write_flac(report / f"{sounds[name]}.flac", signal, rate_hz)
        opus = report / f"{sounds[name]}.opus"
        write_sound(opus, [signal], len(signal), rate_hz, compression=OPUS_COMPRESSION)
        picture = time_and_frequency(signal, rate_hz)
        pictures.append(_save(report, f"{pair.name}_{name}.png", picture, name))
    pictures.append(
        _save(report, f"{pair.name}_hearing.png", hearing(pair.listener), "hearing, hearing aid")
    )
    sources = pair.scene.track.sources
    players = {key: output_name(source.instrument, source.voice) for key, source in sources.items()}
    gains = [(players[key].replace("_", " "), gain) for key, gain in pair.scene.gains_db.items()]
    bundle = _bundle(report, pair.name, sounds)
    return Detail(row, gains, sounds, bundle, pictures)


def _bundle(report: Path, name: str, sounds: Mapping[str, str]) -> str:
    """Write a script with the Opus files of a pair, and return the path of the script.

    Browsers allow a page from disk to load scripts, but not to read sound files.

    Args:
        report: folder of the report.
        name: name of the pair.
        sounds: dict from the name of a version to the path of its sound files without suffix.
    """
    encoded = {
        version: base64.b64encode((report / f"{path}.opus").read_bytes()).decode()
        for version, path in sounds.items()
    }
    script = f"sounds/{name}.js"
    text = f"sounds[{json.dumps(name)}] = {json.dumps(encoded)};\n"
    (report / script).write_text(text, encoding="utf-8")
    return script


def _save(report: Path, name: str, figure: Figure, caption: str) -> Picture:
    (report / "pictures" / name).write_bytes(png(figure))
    return Picture(f"pictures/{name}", caption)
