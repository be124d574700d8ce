"""Numbers of openings and decodes of sound files in each stage."""

import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cmss.audio import Excerpt, write_flac
from cmss.errors import InputError
from cmss.scenes import SoundFiles
from tests.support.recipe_calls import call
from tests.support.tiny_run import FEW_PAIRS, write_tiny_data

RATE_HZ = 44100
OPENED: list[Path] | None = None


def note_opening(event: str, arguments: tuple) -> None:
    if OPENED is not None and event == "open" and isinstance(arguments[0], str | Path):
        OPENED.append(Path(arguments[0]))


# Once per process, because an audit hook cannot be removed.
sys.addaudithook(note_opening)


class Counts:
    """Counts of openings of each file, and of decoded samples relative to its length."""

    def __init__(self) -> None:
        self.openings: Counter[str] = Counter()
        self.decodes: Counter[str] = Counter()

    def most(self, name: str) -> tuple[int, int]:
        """Return the largest numbers of openings and decodes of the files with a name."""
        names = [path for path in self.openings if name in path]
        assert names
        return max(self.openings[n] for n in names), max(self.decodes[n] for n in names)


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """Call a stage in this process and count."""
    write_tiny_data(tmp_path / "data", FEW_PAIRS)

    def run(stage: str, *words: str) -> Counts:
        global OPENED
        decoded: Counter[tuple[int, int]] = Counter()
        read = soundfile.SoundFile.read

        def counting(file, *arguments, **named):
            place = file.tell()
            block = read(file, *arguments, **named)
            # Only the last sample is read, as a check of the length.
            if len(block) > 1 or place + 1 < file.frames:
                status = os.fstat(file.name)
                decoded[status.st_dev, status.st_ino] += len(block)
            return block

        OPENED = []
        with monkeypatch.context() as patched:
            patched.setattr(soundfile.SoundFile, "read", counting)
            done = call(stage, *words, cwd=tmp_path)
        assert done.status == 0, done
        counts = Counts()
        root = tmp_path.resolve()
        for path in OPENED:
            if path.suffix == ".flac" and path.is_file() and path.resolve().is_relative_to(root):
                counts.openings[path.resolve().relative_to(root).as_posix()] += 1
        OPENED = None
        for name in counts.openings:
            status = (root / name).stat()
            frames = soundfile.info(root / name).frames
            counts.decodes[name] = -(-decoded[status.st_dev, status.st_ino] // frames)
        return counts

    run.folder = tmp_path
    return run


def test_no_file_is_decoded_twice_in_a_stage(counted):
    """Each file is opened for the check, and once more if its samples are needed."""
    done = counted("enhance", "path.root=data", "separator=passthrough", "stems=true")
    assert done.most("Mixture") == (2, 1)
    assert done.most("Oboe") == (1, 0)
    done = counted("evaluate", "evaluate.jobs=1")
    assert done.most("Mixture") == (1, 0)
    assert done.most("Viola") == (2, 1)
    assert done.most("Oboe") == (2, 1)
    assert done.most("enhanced_signals") == (2, 1)
    # Enhanced files are opened a third time and copied into the archive.
    done = counted("merge_results", "report=true")
    assert done.most("data/") == (2, 1)
    assert done.most("exp/enhanced_signals") == (3, 1)


def test_true_and_kept_stems_too(counted):
    done = counted("enhance", "path.root=data", "separator=oracle", "stems=true")
    assert done.most("data/") == (2, 1)
    done = counted("evaluate", "evaluate.jobs=1")
    assert done.most("data/") == (2, 1)
    done = counted("merge_results", "report=true")
    assert done.most("data/") == (2, 1)
    assert done.most("exp/stems") == (1, 1)


def test_what_is_done_already_is_opened_and_not_decoded(counted):
    words = ("path.root=data", "separator=passthrough")
    counted("enhance", *words)
    shutil.rmtree(counted.folder / "exp" / ".hydra")
    done = counted("enhance", *words)
    assert done.most("Mixture") == (1, 0)
    assert done.most("enhanced_signals") == (1, 0)


def test_no_more_is_kept_than_was_agreed(tmp_path):
    """Two of three excerpts of 8 kB can be kept, until one of them is released."""
    path = tmp_path / "long.flac"
    write_flac(path, np.full((2, 3 * 1000), 0.1), RATE_HZ)
    first, second, third = (Excerpt(path, n / RATE_HZ, 1000 / RATE_HZ) for n in (0, 1000, 2000))
    sounds = SoundFiles(RATE_HZ, most_bytes=17000)

    def is_kept(excerpt: Excerpt) -> bool:
        return sounds.excerpt(excerpt) is sounds.excerpt(excerpt)

    assert sounds.excerpt(first).nbytes == 8000
    assert is_kept(first)
    assert is_kept(second)
    assert not is_kept(third)
    sounds.release(first)
    sounds.release(first)
    assert is_kept(third)
    assert is_kept(second)
    assert not is_kept(first)


def test_a_digest_is_that_of_the_file_whatever_it_holds(tmp_path):
    write_flac(tmp_path / "sound.flac", np.full((2, 1000), 0.1), RATE_HZ)
    (tmp_path / "text.flac").write_text("no sound")
    looked_at, not_looked_at = SoundFiles(RATE_HZ), SoundFiles(RATE_HZ)
    looked_at.header(tmp_path / "sound.flac", digest=True)
    digests = [each.digest(tmp_path / "sound.flac") for each in (looked_at, not_looked_at)]
    assert digests[0] == digests[1] != looked_at.digest(tmp_path / "text.flac")
    with pytest.raises(InputError, match=r"text\.flac: not a readable sound file"):
        looked_at.header(tmp_path / "text.flac", digest=True)
