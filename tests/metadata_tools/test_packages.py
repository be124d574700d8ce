import random
import stat
import struct
import tarfile
import zipfile

import pytest

from cmss.errors import InputError
from metadata_tools.inputs import packages
from metadata_tools.inputs.packages import extract, open_package
from tests.support.tiny_packages import write_tar, write_zip

FILES = {"piece/a.txt": b"first" * 1000, "piece/b.txt": b"second", "read.me": b""}


def unpack(path, folder):
    package = open_package(path)
    return extract(package, {name: folder / name for name in package.sizes}, "test")


def refused(path, folder) -> str:
    """The one line with which a package is refused; nothing is written."""
    with pytest.raises(InputError) as caught:
        unpack(path, folder)
    assert not folder.exists()
    (line,) = caught.value.problems
    assert line.startswith(f"{path}: ")
    return line


def write_folder(path, files):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("write", "name"), [(write_zip, "p.zip"), (write_tar, "p.tar.gz"), (write_folder, "p")]
)
def test_files_come_out_as_they_went_in_and_only_once(tmp_path, write, name):
    noise = {"__MACOSX/piece/._a.txt": b"x", "piece/.DS_Store": b"x"}
    path = write(tmp_path / name, FILES | noise)
    assert open_package(path).sizes == {name: len(content) for name, content in FILES.items()}
    assert unpack(path, tmp_path / "out") == 3
    for file, content in FILES.items():
        assert (tmp_path / "out" / file).read_bytes() == content
    (tmp_path / "out" / "piece" / "b.txt").unlink()
    assert unpack(path, tmp_path / "out") == 1
    assert unpack(path, tmp_path / "out") == 0


def test_another_file_in_the_place_of_one_is_left_alone(tmp_path):
    path = write_zip(tmp_path / "p.zip", FILES)
    other = tmp_path / "out" / "read.me"
    other.parent.mkdir()
    other.write_text("mine")
    with pytest.raises(InputError, match=r"read\.me: has 4 bytes, expected 0"):
        unpack(path, tmp_path / "out")
    assert [file.name for file in other.parent.iterdir()] == ["read.me"]


UNSAFE = ("../out.txt", "/etc/out.txt", "a/../../out.txt", "..\\out.txt", "C:/out.txt", "a\nb")


@pytest.mark.parametrize("name", UNSAFE)
@pytest.mark.parametrize(("write", "file"), [(write_zip, "p.zip"), (write_tar, "p.tar.gz")])
def test_names_that_lead_out_are_refused(tmp_path, name, write, file):
    message = refused(write(tmp_path / file, {name: b"x"}), tmp_path / "out")
    assert "points outside the folder" in message


def test_links_and_devices_are_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "is a link" in refused(tmp_path / "p.zip", tmp_path / "out")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
        with tarfile.open(tmp_path / "p.tar", "w") as tar:
            info = tarfile.TarInfo("link")
            info.type, info.linkname = kind, "../.."
            tar.addfile(info)
        assert "is a link or a device" in refused(tmp_path / "p.tar", tmp_path / "out")


def test_names_that_clash_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("a/b", "1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a/b", "2")
    assert "name clash: two files are called a/b" in refused(tmp_path / "p.zip", tmp_path / "out")
    path = write_zip(tmp_path / "q.zip", {"a": b"1", "a/b": b"2"})
    assert "name clash: a is a file and a folder" in refused(path, tmp_path / "out")


def test_a_bomb_is_not_unpacked(tmp_path):
    for write, name in ((write_zip, "p.zip"), (write_tar, "p.tar.gz")):
        # Zeros give a thousand bytes for one; up to 64 MiB are unpacked, whatever the ratio.
        path = write(tmp_path / name, {"zeros": bytes(2**26 + 1)})
        assert "too large for an archive of music" in refused(path, tmp_path / "out")
    with tarfile.open(tmp_path / "huge.tar", "w") as tar:
        info = tarfile.TarInfo("huge")
        info.size = 2**50
        tar.fileobj.write(info.tobuf())
    assert "too large for an archive of music" in refused(tmp_path / "huge.tar", tmp_path / "out")


@pytest.mark.parametrize("declared", [4000, 6000])
def test_a_size_that_is_not_what_was_declared_is_found(tmp_path, declared):
    path = write_zip(tmp_path / "p.zip", {"a.txt": b"first" * 1000})
    content = path.read_bytes()
    directory = content.rindex(b"PK\x01\x02") + 24  # where the directory has the size unpacked
    lying = content[:directory] + struct.pack("<L", declared) + content[directory + 4 :]
    path.write_bytes(lying)
    with pytest.raises(InputError, match=r"p\.zip: damaged"):
        unpack(path, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def damages(content: bytes) -> dict[str, bytes]:
    middle = len(content) // 2
    return {
        "cut off": content[:middle],
        "empty": b"",
        "no archive": b"<html>404</html>",
        "bytes changed": content[:100] + bytes(50) + content[150:],
    }


@pytest.mark.parametrize("damage", damages(b""))
@pytest.mark.parametrize(("write", "name"), [(write_zip, "p.zip"), (write_tar, "p.tar.gz")])
def test_a_damaged_archive_is_one_line(tmp_path, write, name, damage):
    # What does not compress, so that the bytes in the middle are those of a file.
    noise = random.Random(1).randbytes(5000)
    path = write(tmp_path / name, {"a": noise, "b": noise[::-1]})
    path.write_bytes(damages(path.read_bytes())[damage])
    with pytest.raises(InputError) as caught:
        unpack(path, tmp_path / "out")
    (line,) = caught.value.problems
    assert line.startswith(f"{path}: ")
    assert "download" in line
    # Of two files the first may have come out whole; nothing is there in part.
    assert {file.name for file in tmp_path.glob("out/*")} <= {"a"}


def test_a_missing_package_and_an_encrypted_one(tmp_path):
    assert refused(tmp_path / "no.zip", tmp_path / "out").endswith("no such file or folder")
    path = write_zip(tmp_path / "p.zip", {"a": b"1"})
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    path.write_bytes(content)
    assert "is encrypted" in refused(path, tmp_path / "out")


def test_a_full_disk_is_known_beforehand(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "p.zip", FILES)
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr(packages.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match=r"0\.0 GB of .* do not fit"):
        unpack(path, tmp_path / "out")
    assert not [file for file in (tmp_path / "out").rglob("*") if file.is_file()]


def test_some_files_of_a_tar_in_whatever_order(tmp_path):
    path = write_tar(tmp_path / "p.tar.gz", {f"{n:03d}": bytes([n]) * 100 for n in range(50)})
    package = open_package(path)
    wanted = {f"{n:03d}": tmp_path / "out" / f"{n}" for n in (40, 3, 17)}
    assert extract(package, wanted, "test") == 3
    assert (tmp_path / "out" / "17").read_bytes() == bytes([17]) * 100
