"""Packages as they are downloaded: listed, checked, and unpacked file by file.

A package is a zip or tar archive, or a folder that holds what such an archive would hold. Nothing
is written before all of its names and sizes have been looked at. A file appears whole or not at
all, so that unpacking which was killed goes on where it ended.
"""

import hashlib
import io
import lzma
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from cmss.errors import InputError
from cmss.files.atomic import atomic_file, clear_stale

LARGEST_BYTES = 256 * 2**30
"""All of a package; the largest that is known, EnsembleSet with all microphones, has some 60 GB."""
LARGEST_RATIO = 100
"""Bytes out per byte in. Music as FLAC or WAV gives 1 to 3, digital silence up to 1000."""

_SMALL = 64 * 2**20  # no bomb, whatever its ratio
_CHUNK = 2**20
_NO_DATA = {"__MACOSX", ".DS_Store"}  # what a Mac adds to an archive


@dataclass(frozen=True)
class Package:
    """A package that can be read.

    Args:
        path: the archive or folder.
        sizes: bytes of each file by its name, a relative path with slashes.
    """

    path: Path
    sizes: dict[str, int]

    @property
    def is_folder(self) -> bool:
        """Whether its files need no unpacking."""
        return self.path.is_dir()


def open_package(path: Path) -> Package:
    """List the files of a package.

    Raises:
        InputError: missing or damaged; a name that leaves the folder it is unpacked into; a link
            or a device; two files of one name; encrypted; more bytes than such an archive can hold.
    """
    if path.is_dir():
        files = (file for file in sorted(path.rglob("*")) if file.is_file())
        names = {file.relative_to(path).as_posix(): file.stat().st_size for file in files}
        return Package(path, {name: size for name, size in names.items() if _is_data(name)})
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder")
    limit = min(LARGEST_BYTES, max(LARGEST_RATIO * path.stat().st_size, _SMALL))
    total, sizes = 0, {}
    with reading_archive(path):
        for name, size in _members(path):
            if name in sizes:
                raise InputError(f"{path}: name clash: two files are called {name}")
            # Before the next name is read: in a tar archive it lies behind all of these bytes.
            total += size
            if size < 0 or total > limit:
                raise InputError(
                    f"{path}: unpacks to more than {limit} bytes, which no archive of music does; "
                    "not unpacked"
                )
            sizes[name] = size
    for name in sizes:
        for parent in PurePosixPath(name).parents:
            if parent.as_posix() in sizes:
                raise InputError(f"{path}: name clash: {parent} is a file and a folder")
    return Package(path, {name: size for name, size in sizes.items() if _is_data(name)})


def extract(package: Package, targets: Mapping[str, Path], description: str) -> int:
    """Copy files out of a package, those that are not there yet.

    Args:
        targets: where each goes, by its name in the package.
        description: of the progress bar.

    Returns:
        How many were copied.

    Raises:
        InputError: the package is damaged, a target is another file, or the disk is too small.
    """
    waiting = {
        name: target
        for name, target in targets.items()
        if not _is_there(target, package.sizes[name], package.path)
    }
    needed = sum(package.sizes[name] for name in waiting)
    for folder in {target.parent for target in waiting.values()}:
        folder.mkdir(parents=True, exist_ok=True)
        clear_stale(folder)
    if waiting:
        _require_space(next(iter(waiting.values())).parent, needed, package.path)
    done = sum(package.sizes[name] for name in targets) - needed
    with (
        tqdm(
            desc=description,
            initial=done,
            total=done + needed,
            unit="B",
            unit_scale=True,
            disable=None,
        ) as progress,
        reading_archive(package.path),
    ):
        for name, stream in _streams(package, waiting):
            with atomic_file(waiting[name]) as partial, partial.open("wb") as file:
                written = 0
                while chunk := stream.read(_CHUNK):
                    written += len(chunk)
                    if written > package.sizes[name]:
                        break
                    file.write(chunk)
                    progress.update(len(chunk))
                if written != package.sizes[name]:
                    raise InputError(
                        f"{package.path}: damaged: {name} has not the {package.sizes[name]} bytes "
                        "that it should have; download the archive again"
                    )
    return len(waiting)


def digest(package: Package, name: str) -> str:
    """SHA-256 of a file in a package."""
    with reading_archive(package.path):
        for _, stream in _streams(package, [name]):
            return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
    raise InputError(f"{package.path}: holds no {name}")


def safe_name(name: str) -> str | None:
    """A name as a relative path of plain parts; None if it could lead out of a folder."""
    path = PurePosixPath(name)
    unsafe = path.is_absolute() or ".." in path.parts or not path.parts
    if unsafe or "\\" in name or not name.isprintable() or ":" in path.parts[0]:
        return None
    return path.as_posix()


def _is_data(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return not _NO_DATA & set(parts) and not parts[-1].startswith("._")


def _members(path: Path) -> Iterator[tuple[str, int]]:
    """Name and size of all files in an archive."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                name = _checked(path, info.orig_filename)
                if stat.S_ISLNK(info.external_attr >> 16):
                    raise InputError(f"{path}: {name} is a link; not unpacked")
                if info.flag_bits & 0x1:
                    raise InputError(f"{path}: {name} is encrypted; unpack it yourself")
                if not info.is_dir():
                    yield name, info.file_size
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as tar:
            for member in tar:
                if not (member.name in ("", ".") and member.isdir()):
                    name = _checked(path, member.name)
                    if not (member.isreg() or member.isdir()):
                        raise InputError(f"{path}: {name} is a link or a device; not unpacked")
                    if member.isreg():
                        yield name, member.size
    else:
        raise InputError(
            f"{path}: not a whole zip or tar archive; download it again if it should be one"
        )


def _checked(path: Path, name: str) -> str:
    safe = safe_name(name)
    if safe is None:
        raise InputError(f"{path}: the name {name!r} leaves the folder; not unpacked")
    return safe


def _streams(package: Package, names: Collection[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """The contents of some files, in the order in which they lie in the package."""
    if not names:
        return
    if package.is_folder:
        for name in names:
            with (package.path / name).open("rb") as file:
                yield name, file
    elif zipfile.is_zipfile(package.path):
        with zipfile.ZipFile(package.path) as archive:
            for info in archive.infolist():
                safe = safe_name(info.orig_filename)
                if safe and safe in names and not info.is_dir():
                    with archive.open(info) as stream:
                        yield safe, stream
    else:
        with tarfile.open(package.path) as tar:
            for member in tar:
                safe = safe_name(member.name)
                if safe and safe in names and member.isreg():
                    yield safe, tar.extractfile(member) or io.BytesIO()


@contextmanager
def reading_archive(path: Path) -> Iterator[None]:
    """Turn what the readers of archives raise into one line."""
    # NotImplementedError is how zipfile says that a byte it read names no compression it knows.
    damage = (
        zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, struct.error,
        NotImplementedError, ValueError,
    )  # fmt: skip
    try:
        yield
    except damage as error:
        raise InputError(f"{path}: damaged ({error}); download the archive again") from error
    except OSError as error:
        # What the system has not said: a decompressor has.
        if error.errno is not None:
            raise
        raise InputError(f"{path}: damaged ({error}); download the archive again") from error


def _is_there(target: Path, size: int, package: Path) -> bool:
    """Whether a file has been unpacked already."""
    try:
        found = target.stat().st_size
    except FileNotFoundError:
        return False
    if found != size:
        raise InputError(
            f"{target}: has {found} bytes, expected {size} as in {package}; name another folder"
        )
    return True


def _require_space(folder: Path, needed: int, package: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{folder}: {needed / 1e9:.1f} GB of {package} do not fit, {free / 1e9:.1f} GB are free"
        )
