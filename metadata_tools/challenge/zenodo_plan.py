"""Plans how to unpack the challenge's packages, without unpacking the audio."""

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict

from cmss.errors import InputError
from cmss.scenes.files import ExcerptEntry, MetadataFile, Parts
from metadata_tools.inputs.packages import Package, digest, extract, open_package, safe_name

TRAIN_FILE = "music_tracks.train.json"
VALID_FILE = "music.valid.to_generate.json"
UNPACKED = ".unpacked"
"""Temporary folder in DATA for the files from which validation excerpts are cut."""

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_MOST_LINES = 20


class _TrainTrack(BaseModel):
    """Defines the keys of an entry of music_tracks.train.json."""

    model_config = ConfigDict(strict=True)
    dataset: str
    stems_path: list[str]
    mixture_path: str


class _Cut(ExcerptEntry):
    """Defines the keys of a source in music.valid.to_generate.json."""

    source_dataset: str


class _Target(BaseModel):
    """Defines the keys of a `mixture_target` in music.valid.to_generate.json."""

    model_config = ConfigDict(strict=True)
    track: str


@dataclass(frozen=True)
class Stem:
    """Describes an excerpt that is to be cut: its source, start and duration, and the new file."""

    source: str
    start_s: float
    duration_s: float
    target: Path

    def span(self, rate_hz: int) -> tuple[int, int]:
        """Return the index of the first sample, and the number of samples.

        Both numbers are rounded down, as in librosa.
        """
        return int(self.start_s * rate_hz), int(self.duration_s * rate_hz)


@dataclass(frozen=True)
class ValidTrack:
    """Describes a validation track that is to be made: its stems and the file for their sum."""

    name: str
    stems: list[Stem]
    mixture: Path


@dataclass
class Plan:
    """Lists the files to be written.

    Args:
        copies: list of packages with the files to copy. For each package, a dict maps the name of a
            file in the package to the destination of this file.
        tracks: list of validation tracks to make.
        unpacked: dict from the name of a file in a package to the path of the unpacked file. The
            dict contains the files from which validation tracks are cut.
        train: number of training files.
        notes: list of warnings.
    """

    copies: list[tuple[Package, dict[str, Path]]] = field(default_factory=list)
    tracks: list[ValidTrack] = field(default_factory=list)
    unpacked: dict[str, Path] = field(default_factory=dict)
    train: int = 0
    notes: list[str] = field(default_factory=list)


def find_packages(paths: Sequence[Path]) -> list[Package]:
    """Open the packages at the given paths; a path may also be a folder that contains packages.

    If a path is a folder, all archives in this folder are opened. The official script unpacks each
    archive to a folder. Such a folder is also opened as a package, unless an archive has the same
    data.
    """
    packages: list[Package] = []
    for path in paths:
        if not path.is_dir():
            packages.append(open_package(path))
            continue
        packages += [
            open_package(file)
            for file in sorted(path.iterdir())
            if file.name.lower().endswith(_ARCHIVES) and file.is_file()
        ]
        for folder in ("EnsembleSet", "CadenzaWoodwind", "metadata"):
            if (path / folder).is_dir() and not any(
                name.startswith(f"{folder}/") for package in packages for name in package.sizes
            ):
                files = open_package(path / folder).sizes
                packages.append(
                    Package(path, {f"{folder}/{name}": size for name, size in files.items()})
                )
    if not packages:
        raise InputError(f"{', '.join(map(str, paths))}: no zip or tar archive found")
    return packages


def make_plan(packages: Iterable[Package], root: Path) -> Plan:
    """Decide which files are written, and where they are written.

    Raises:
        InputError: stems or packages are missing, names clash, or metadata are not valid.
    """
    plan, claimed = Plan(), _Claims()
    metadata: Package | None = None
    music: dict[str, list[Package]] = {}
    for package in packages:
        if "tuning" in package.path.name.lower() and not package.is_folder:
            copies = {name: root / "audio" / "tuning" / name for name in package.sizes}
        elif evaluation := _evaluation(package, root):
            copies = evaluation
        elif prefix := _metadata_prefix(package):
            metadata, copies = package, {}
            for name in package.sizes:
                if name.startswith(prefix[0]):
                    copies[name] = root / "metadata" / name.removeprefix(prefix[0])
        else:
            for name in package.sizes:
                music.setdefault(name, []).append(package)
            continue
        claimed.add(package, copies)
        plan.copies.append((package, copies))
    if music or metadata:
        _plan_music(plan, metadata, music, root, claimed)
    if claimed.problems:
        lines = list(dict.fromkeys(claimed.problems))
        more = [f"and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else []
        raise InputError(lines[:_MOST_LINES] + more)
    return plan


class _Claims:
    """Records the source of each file to be written, and reports files with two sources."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._owners: dict[Path, object] = {}
        self._copied: dict[Path, tuple[Package, str]] = {}

    def clash(self, where: str, name: object) -> None:
        """Report that a file has two different sources."""
        self.problems.append(f"{where}: name clash: two different files would be {name}")

    def claim(self, target: Path, owner: object, where: str) -> None:
        """Register the source of a target, and report a clash if the target has another source."""
        if self._owners.setdefault(target, owner) != owner:
            self.clash(where, target)

    def add(self, package: Package, copies: Mapping[str, Path]) -> None:
        """Register the targets of a package.

        Files of two packages may have the same target if their contents are equal.
        """
        for name, target in copies.items():
            first, first_name = self._copied.setdefault(target, (package, name))
            if first is package or digest(first, first_name) == digest(package, name):
                self.claim(target, (first.path, first_name), str(package.path))
            else:
                self.clash(f"{first.path} and {package.path}", target)


def _evaluation(package: Package, root: Path) -> dict[str, Path]:
    """Return the targets of the files of an evaluation package.

    An evaluation package has the folders `audio` and `metadata` in the same folder. If the package
    is not an evaluation package, the result is empty.
    """
    for name in package.sizes:
        head, found, _ = f"/{name}".rpartition("/metadata/")
        prefix = f"{head}/"[1:]
        if found and any(other.startswith(f"{prefix}audio/") for other in package.sizes):
            return {
                other: root / other.removeprefix(prefix)
                for other in package.sizes
                if other.startswith((f"{prefix}audio/", f"{prefix}metadata/"))
            }
    return {}


def _metadata_prefix(package: Package) -> tuple[str] | None:
    """Return a tuple with the folder of the metadata in a package.

    The name of the folder ends in a slash. If the package has no metadata, the result is None.
    """
    for name in package.sizes:
        if PurePosixPath(name).name in (TRAIN_FILE, VALID_FILE):
            return (name[: name.rfind("/") + 1],)
    return None


def _plan_music(
    plan: Plan,
    metadata: Package | None,
    music: Mapping[str, Sequence[Package]],
    root: Path,
    claims: _Claims,
) -> None:
    """Add to the plan the training and validation audio that the metadata list."""
    if metadata is None:
        claims.problems.append(f"no package has {TRAIN_FILE}, expected metadata.zip")
        return
    wanted: dict[str, Path] = {}
    prefix = (_metadata_prefix(metadata) or ("",))[0]
    with tempfile.TemporaryDirectory() as scratch:
        there = {}
        for name in (f"{prefix}{TRAIN_FILE}", f"{prefix}{VALID_FILE}"):
            if name in metadata.sizes:
                there[name] = Path(scratch, name)
            else:
                claims.problems.append(f"{metadata.path}: has no {PurePosixPath(name).name}")
        extract(metadata, there, "metadata")
        problems: list[str] = []
        for name, path in there.items():
            file = MetadataFile(path, "metadata", problems)
            if name.endswith(TRAIN_FILE):
                wanted |= _train_files(file, root, claims)
            else:
                plan.tracks += _valid_tracks(file, root, claims)
                entries = (x for x in file.entries.values() if isinstance(x, dict))
                if mixed := sum("mixture" in track for track in entries):
                    plan.notes.append(
                        f"{VALID_FILE}: {mixed} tracks have an entry 'mixture', which is not added "
                        "to the stems; the official script adds it"
                    )
        # Messages must name the package instead of the temporary folder.
        claims.problems += [line.replace(scratch, str(metadata.path)) for line in problems]
    plan.train = len(wanted)
    sources = {stem.source for track in plan.tracks for stem in track.stems}
    there_are = {name.split("/")[0] for name in music}
    by_package: dict[tuple[Path, str], tuple[Package, dict[str, Path]]] = {}
    for name in dict.fromkeys((*wanted, *sorted(sources))):
        dataset = name.split("/")[0]
        if dataset not in there_are:
            claims.problems.append(f"{dataset}: in none of the packages")
        elif name not in music:
            claims.problems.append(f"{metadata.path}: missing stem: {name} is in no package")
        else:
            package, *others = music[name]
            for other in others:
                if other.sizes[name] != package.sizes[name]:
                    claims.clash(f"{package.path} and {other.path}", name)
            in_place = package.is_folder and name not in wanted
            target = wanted.get(name, (package.path if in_place else root / UNPACKED) / name)
            if name in sources:
                plan.unpacked[name] = target
            if not in_place:
                by_package.setdefault((package.path, dataset), (package, {}))[1][name] = target
    # Metadata are copied last, so that a folder with metadata is known to be complete.
    plan.copies = [*by_package.values(), *plan.copies]


def _train_files(file: MetadataFile, root: Path, claims: _Claims) -> dict[str, Path]:
    """Return a dict from the name of a training file in the package to its target."""
    files = {}
    for track, value in file.entries.items():
        entry = file.validate(track, value, _TrainTrack)
        for path in (*entry.stems_path, entry.mixture_path) if entry else ():
            name = safe_name(f"{entry.dataset}/{path}") if entry else None
            if name is None or safe_name(path) is None:
                file.report(track, f"the path {path!r} points outside the folder")
                continue
            target = root / "audio" / "train" / path
            claims.claim(target, name, f"{TRAIN_FILE}: {track}")
            files[name] = target
    return files


def _valid_tracks(file: MetadataFile, root: Path, claims: _Claims) -> Iterator[ValidTrack]:
    """Yield the validation tracks of music.valid.to_generate.json; report errors in this file."""
    audio = root / "audio"
    for name, value in file.entries.items():
        stems: list[Stem] = []
        mixture: Path | None = None
        for part, content in (file.validate(name, value, Parts) or {}).items():
            where = f"{name}.{part}"
            if part == "mixture_target":
                if target := file.validate(where, content, _Target):
                    mixture = _inside(audio, target.track, where, file)
            elif part == "mixture":
                continue
            elif not re.fullmatch(r"source_[1-9][0-9]*", part):
                file.report(where, "expected source_1, ... or mixture_target")
            elif cut := file.validate(where, content, _Cut):
                # As in the official script, the name loses the microphone and the piece.
                below = "/".join(cut.track.replace("/Mix_1", "").split("/")[1:])
                source = _inside(Path(), f"{cut.source_dataset}/{cut.track}", where, file)
                path = _inside(audio, f"valid/{name}/{below}", where, file)
                if source and path:
                    claims.claim(path, (source, cut.start), f"{VALID_FILE}: {where}")
                    stems.append(Stem(source.as_posix(), cut.start, cut.duration, path))
        if mixture is None:
            file.report(f"{name}.mixture_target", "expected the file for the mixture")
        elif stems:
            claims.claim(mixture, name, f"{VALID_FILE}: {name}.mixture_target")
            yield ValidTrack(name, stems, mixture)


def _inside(folder: Path, name: str, where: str, file: MetadataFile) -> Path | None:
    """Join a folder and a relative path; return None if the path points outside the folder."""
    safe = safe_name(name)
    if safe is None:
        file.report(f"{where}.track", f"the path {name!r} points outside the folder")
        return None
    return folder / safe
