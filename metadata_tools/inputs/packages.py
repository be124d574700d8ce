"""Lists, checks and unpacks the files of downloaded packages.

A package is a zip or tar archive, or a folder with the contents of an archive. All names and sizes
are checked before any file is written. Each file is written under a temporary name. A complete file
is renamed to its final name, so an interrupted call can be continued.
"""

import hashlib
import io
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from cmss.errors import InputError
from cmss.files.archives import reading_archive
from cmss.files.atomic import atomic_file, clear_stale

_CHUNK = 2**20
_NO_DATA = {"__MACOSX", ".DS_Store"}  # added to archives by macOS


@dataclass(frozen=True)
class Package:
    """Describes a package and the files in it.

    Args:
        path: path of the archive or folder.
        sizes: dict from the name of a file in the package, which is a relative path, to the size of
            the file in bytes.
    """

    path: Path
    sizes: dict[str, int]

    @property
    def is_folder(self) -> bool:
        """Whether the package is a folder, whose files need not be unpacked."""
        return self.path.is_dir()


def open_package(path: Path) -> Package:
    """List the files of a package.

    Raises:
        InputError: the package is missing, damaged, encrypted or too large; or the package contains
            a link, a device, two files of the same name, or a path that points outside the folder.
    """
    if path.is_dir():
        files = (file for file in sorted(path.rglob("*")) if file.is_file())
        names = {file.relative_to(path).as_posix(): file.stat().st_size for file in files}
        return Package(path, {name: size for name, size in names.items() if _is_data(name)})
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder")
    # These limits protect against decompression bombs. FLAC and WAV files of music grow by a factor
    # of 1 to 3. The largest known package, EnsembleSet with all microphones, has about 60 GB.
    limit = min(256 * 2**30, max(100 * path.stat().st_size, 64 * 2**20))
    total, sizes = 0, {}
    with reading_archive(path):
        for name, size in _members(path):
            if name in sizes:
                raise InputError(f"{path}: name clash: two files are called {name}")
            # Check now, because a tar archive has the next name only after the bytes of this file.
            total += size
            if size < 0 or total > limit:
                raise InputError(
                    f"{path}: unpacks to more than {limit} bytes, which is too large for an "
                    "archive of music; not unpacked"
                )
            sizes[name] = size
    for name in sizes:
        for parent in PurePosixPath(name).parents:
            if parent.as_posix() in sizes:
                raise InputError(f"{path}: name clash: {parent} is a file and a folder")
    return Package(path, {name: size for name, size in sizes.items() if _is_data(name)})


def extract(package: Package, targets: Mapping[str, Path], description: str) -> int:
    """Copy files from a package, except files that an earlier call has copied.

    Args:
        package: package that contains the files.
        targets: dict from the name of a file in the package to the destination of the file.
        description: text that the progress bar shows.

    Returns:
        The number of copied files.

    Raises:
        InputError: the package is damaged, a file with another size exists at a destination, or the
            disk has too little free space.
    """
    waiting = {
        name: target
        for name, target in targets.items()
        if not _exists(target, package.sizes[name], package.path)
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
                        f"{package.path}: damaged: {name} does not have the expected "
                        f"{package.sizes[name]} bytes; download the archive again"
                    )
    return len(waiting)


def digest(package: Package, name: str) -> str:
    """Return the SHA-256 of a file in a package."""
    with reading_archive(package.path):
        for _, stream in _streams(package, [name]):
            return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
    raise InputError(f"{package.path}: has no {name}")


def safe_name(name: str) -> str | None:
    """Convert a name to a relative path; return None if the path could point outside a folder."""
    path = PurePosixPath(name)
    unsafe = path.is_absolute() or ".." in path.parts or not path.parts
    if unsafe or "\\" in name or not name.isprintable() or ":" in path.parts[0]:
        return None
    return path.as_posix()


def _is_data(name: str) -> bool:
    """Return False for a file that macOS added to the archive, and True for a file of the data."""
    parts = PurePosixPath(name).parts
    return not _NO_DATA & set(parts) and not parts[-1].startswith("._")


def _members(path: Path) -> Iterator[tuple[str, int]]:
    """Yield name and size of all files in an archive."""
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
            f"{path}: not a complete zip or tar archive; if it should be one, download it again"
        )


def _checked(path: Path, name: str) -> str:
    """Convert a name in an archive to a relative path.

    Raises:
        InputError: the path could point outside a folder.
    """
    safe = safe_name(name)
    if safe is None:
        raise InputError(f"{path}: the name {name!r} points outside the folder; not unpacked")
    return safe


def _streams(package: Package, names: Collection[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield name and content of the files in `names`, in the order of the package."""
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


def _exists(target: Path, size: int, package: Path) -> bool:
    """Return whether an earlier call has already unpacked a file."""
    try:
        found = target.stat().st_size
    except FileNotFoundError:
        return False
    if found != size:
        raise InputError(
            f"{target}: has {found} bytes, expected {size} as in {package}; choose another folder"
        )
    return True


def _require_space(folder: Path, needed: int, package: Path) -> None:
    """Raise InputError if the disk of a folder has fewer than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{folder}: {needed / 1e9:.1f} GB of {package} do not fit, {free / 1e9:.1f} GB are free"
        )
