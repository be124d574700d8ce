import hashlib
import os
import zipfile

import numpy as np
import pytest
import soundfile

from cmss.audio import write_flac
from cmss.errors import InputError
from cmss.run import submission
from cmss.scenes import SoundFiles
from tests.support.tiny_pairs import make_pairs

DURATION_S = 0.25
SAMPLES = 8000
PAIRS = make_pairs(("L5001", "L5002"), DURATION_S)


def enhanced(seed: int, samples: int = SAMPLES) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal((2, samples))


@pytest.fixture
def run(tmp_path):
    for seed, pair in enumerate(PAIRS):
        write_flac(tmp_path / pair.enhanced_file, enhanced(seed), 32000)
    (tmp_path / "provenance.json").write_text('{"git": "abc"}')
    return tmp_path


def build(run, **changes):
    settings = {"provenance": run / "provenance.json", "sounds": SoundFiles(44100)}
    given = [key for key in ("provenance", "progress") if key in changes]
    settings |= {key: changes.pop(key) for key in given}
    packing = submission.Packing(**{"team": "T001", "causality": "causal", **changes})
    return submission.build_submission(run, PAIRS, packing, **settings)


def files_below(folder) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


NAMES = [f"enhanced_signals/valid/S5000{n}_L500{m}_remix.flac" for n in (1, 2, 3) for m in (1, 2)]


def test_the_folder_holds_signals_checksums_and_provenance(run):
    built = build(run)
    assert built.folder == run / "submission_T001_causal"
    assert files_below(built.folder) == ["checksums.sha256", *NAMES, "provenance.json"]
    for name in [*NAMES, "provenance.json"]:
        assert (built.folder / name).read_bytes() == (run / name).read_bytes()


def test_checksums_are_those_of_sha256sum(run):
    built = build(run)
    expected = "".join(
        f"{hashlib.sha256((run / name).read_bytes()).hexdigest()}  {name}\n"
        for name in [*NAMES, "provenance.json"]
    )
    assert (built.folder / "checksums.sha256").read_text() == expected


def test_the_archive_holds_the_signals_alone_and_whole(run):
    built = build(run)
    assert built.archives == [run / "submission_T001_causal.zip"]
    with zipfile.ZipFile(built.archives[0]) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == NAMES
        for name in NAMES:
            assert archive.read(name) == (run / name).read_bytes()


def test_equal_signals_give_an_equal_archive(run):
    first = build(run).archives[0].read_bytes()
    for pair in PAIRS:
        os.utime(run / pair.enhanced_file, (1e9, 1e9))
        (run / pair.enhanced_file).chmod(0o600)
    (run / "provenance.json").write_text('{"git": "def"}')
    assert build(run).archives[0].read_bytes() == first


def test_signals_are_copied_where_they_cannot_be_linked(run, monkeypatch):
    def no_links(*_args):
        raise OSError("cross-device link")

    linked = files_below(build(run).folder)
    monkeypatch.setattr(os, "link", no_links)
    built = build(run)
    assert files_below(built.folder) == linked
    signal = built.folder / NAMES[0]
    assert signal.stat().st_nlink == 1
    assert signal.read_bytes() == (run / NAMES[0]).read_bytes()


def test_signals_enhanced_again_do_not_change_what_was_built(run):
    built = build(run)
    before = (built.folder / NAMES[0]).read_bytes()
    write_flac(run / NAMES[0], enhanced(99), 32000)
    assert (built.folder / NAMES[0]).read_bytes() == before


@pytest.mark.parametrize(
    ("causality", "supplement", "name"),
    [
        ("noncausal", "", "submission_T001_noncausal.zip"),
        ("causal", "aug", "submission_T001_causal_aug.zip"),
        ("causal", "aug_sup", "submission_T001_causal_aug_sup.zip"),
    ],
)
def test_official_names(run, causality, supplement, name):
    assert build(run, causality=causality, supplement=supplement).archives[0].name == name


def test_names_that_the_challenge_does_not_know(run):
    with pytest.raises(InputError) as caught:
        build(run, team="../T1", causality="acausal", supplement="more")
    assert caught.value.problems == (
        "team: expected letters, digits, _ and -, as in 'T001', got '../T1'",
        "causality: expected causal or noncausal, got 'acausal'; did you mean causal?",
        "supplement: expected one of ('', 'aug', 'sup', 'aug_sup'), got 'more'",
    )


def test_a_missing_provenance_is_named(run):
    with pytest.raises(InputError, match=r"nowhere\.json: no such file"):
        build(run, provenance=run / "nowhere.json")


def test_a_build_that_fails_leaves_the_last_submission(run, monkeypatch):
    built = build(run)
    before = built.archives[0].read_bytes()
    monkeypatch.setattr(
        submission.zipfile.ZipFile, "writestr", lambda *_: (_ for _ in ()).throw(OSError("full"))
    )
    with pytest.raises(OSError, match="full"):
        build(run)
    assert built.archives[0].read_bytes() == before
    assert files_below(built.folder) == ["checksums.sha256", *NAMES, "provenance.json"]
    assert not list(run.glob(".*"))


# Invalid submissions.


def test_everything_wrong_is_named_and_nothing_is_built(run):
    paths = [run / name for name in NAMES]
    paths[0].unlink()
    write_flac(paths[1], enhanced(1), 44100)
    write_flac(paths[2], enhanced(1)[:1], 32000)
    write_flac(paths[3], enhanced(1, SAMPLES + 2), 32000)
    soundfile.write(paths[4], enhanced(1).T, 32000, format="FLAC", subtype="PCM_24")
    data = paths[5].read_bytes()
    paths[5].write_bytes(data[: len(data) // 2])
    paths[5].with_suffix(".txt").write_text("2.0")
    with pytest.raises(InputError) as caught:
        build(run)
    folder = run / "enhanced_signals" / "valid"
    assert [line.replace(f"{folder}/", "") for line in caught.value.problems] == [
        "S50001_L5001_remix.flac: no such audio file",
        "S50001_L5002_remix.flac: sampling rate in Hz 44100, expected 32000",
        "S50002_L5001_remix.flac: channels 1, expected 2",
        "S50002_L5002_remix.flac: 8002 samples, expected 8000 for an excerpt of 0.25 s",
        "S50003_L5001_remix.flac: sample format PCM_24, expected PCM_16",
        "S50003_L5002_remix.flac: truncated or damaged: the header states 8000 samples, "
        "but samples 7999 to 8000 cannot be decoded",
        "S50003_L5002_remix.txt: belongs to no pair of scene and listener",
    ]
    assert not list(run.glob("*submission*"))


def test_a_hole_in_the_middle_is_found(run):
    path = run / NAMES[2]
    write_flac(path, enhanced(5, 32000), 32000)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 9000] = bytes(9000)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"S50002_L5001_remix\.flac: truncated or damaged"):
        submission.check_enhanced(run, make_pairs(("L5001",), 1.0)[1:2], SoundFiles(44100))


@pytest.mark.parametrize("samples", [SAMPLES - 1, SAMPLES, SAMPLES + 1])
def test_a_resampler_may_round_the_other_way(run, samples):
    write_flac(run / NAMES[0], enhanced(1, samples), 32000)
    submission.check_enhanced(run, PAIRS, SoundFiles(44100))


def test_what_a_killed_run_left_is_no_stray_and_is_not_handed_in(run):
    left = run / "enhanced_signals" / "valid" / f".S50001_L5001_remix.flac.{'0' * 32}.tmp"
    left.write_bytes(b"half")
    assert files_below(build(run).folder / "enhanced_signals") == [
        name.removeprefix("enhanced_signals/") for name in NAMES
    ]


def test_other_splits_stay_out(run):
    train = run / "enhanced_signals" / "train" / "S00001_L0001_remix.flac"
    write_flac(train, enhanced(1), 32000)
    assert len(files_below(build(run).folder / "enhanced_signals")) == len(PAIRS)


def test_progress_sees_every_pair_twice(run):
    seen = []

    def progress(pairs):
        seen.append(len(pairs))
        return pairs

    build(run, progress=progress)
    assert seen == [len(PAIRS), len(PAIRS)]


def test_parts_hold_every_signal_once_and_none_is_too_large(run):
    whole = build(run).archives[0]
    limit = 1.1 * max((run / name).stat().st_size for name in NAMES) * 2
    built = build(run, part_mb=limit / 1e6)
    assert [path.name for path in built.archives] == [
        f"submission_T001_causal_part{number}.zip" for number in (1, 2, 3)
    ]
    assert all(path.stat().st_size <= limit for path in built.archives)
    names = [name for path in built.archives for name in zipfile.ZipFile(path).namelist()]
    assert names == NAMES
    assert not whole.exists()
    # And back to one archive: the parts of the earlier call are deleted.
    assert [path.name for path in build(run).archives] == [whole.name]
    assert sorted(run.glob("*.zip")) == [whole]


def test_the_size_of_a_part_is_known_to_the_byte(run):
    """A limit of the archive's size gives one part; with one byte less there are two parts."""
    size = build(run).archives[0].stat().st_size
    assert len(build(run, part_mb=size / 1e6).archives) == 1
    assert len(build(run, part_mb=(size - 1) / 1e6).archives) == 2


def test_a_part_must_hold_a_signal(run):
    with pytest.raises(InputError, match=r"submission\.part_mb: .* is larger than 0\.001 MB"):
        build(run, part_mb=0.001)


def test_other_submissions_are_left_alone(run):
    other = build(run, supplement="aug").archives[0]
    build(run)
    assert other.exists()
