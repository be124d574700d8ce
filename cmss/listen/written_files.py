"""Names and checks the files that are written for each recording."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cmss.audio import FORMATS, sample_format
from cmss.errors import InputError, noting
from cmss.files.output_file import check_output_file


@dataclass(frozen=True)
class Outputs:
    """Holds the paths of the files that are written for a recording.

    Args:
        sound: the remix, amplified for the listener.
        before: the recording at the loudness of `sound`.
        picture: picture of the remix and the recording.
        stems: dict from the id of a player to the file of the stem; empty if stems are not written.
    """

    sound: Path
    before: Path
    picture: Path
    stems: dict[str, Path]

    def described(self) -> Iterator[tuple[Path, str]]:
        """Yield each file, and its description for messages."""
        yield self.sound, "-o"
        yield self.before, "-o (the recording beside it)"
        yield self.picture, "-o (the picture beside it)"
        for path in self.stems.values():
            yield path, "-o (a stem beside it)"


def outputs_of(sound: Path, stems: Sequence[str], subtype: str | None) -> Outputs:
    """Return the files that are written for a recording.

    Args:
        sound: the file of the remix.
        stems: names of the stems to write, which are the ids of the players.
        subtype: sample format, see :func:`cmss.audio.sample_format`.

    Raises:
        InputError: the suffix or the sample format is not valid.
    """
    try:
        sample_format(sound, subtype)
    except InputError as error:
        raise InputError(f"-o {line}" for line in error.problems) from error
    return Outputs(
        sound,
        sound.with_stem(f"{sound.stem}_before"),
        sound.with_suffix(".png"),
        {name: sound.with_stem(f"{sound.stem}_{name}") for name in stems},
    )


def sounds_in(folder: Path, suffix: str, recordings: Sequence[Path]) -> list[Path]:
    """Return, for each recording, the path in the output folder to which its remix is written.

    Raises:
        InputError: two recordings would be written to the same output file, the output folder
            contains one of the recordings, or `folder` is the name of a sound file.
    """
    if folder.suffix.lower() in FORMATS:
        raise InputError(f"-o {folder}: expected a folder, because there are several recordings")
    problems = []
    sounds = [folder / f"{path.stem}{suffix}" for path in recordings]
    for stem, count in Counter(path.stem for path in recordings).items():
        if count > 1:
            same = " and ".join(str(path) for path in recordings if path.stem == stem)
            problems.append(f"{same}: expected recordings with different names before the suffix")
    if folder.exists() and any(path.parent.resolve() == folder.resolve() for path in recordings):
        problems.append(f"-o {folder}: is the folder of the recordings, expected another folder")
    if problems:
        raise InputError(problems)
    return sounds


def check_outputs(outputs: Collection[Outputs], inputs: Sequence[Path]) -> None:
    """Check that all files can be written.

    Raises:
        InputError: two files have the same name, or a file cannot be written or would replace one
            of `inputs`; see :func:`cmss.files.output_file.check_output_file`.
        OSError: a file cannot be written.
    """
    problems: list[str] = []
    names = Counter(path for files in outputs for path, _ in files.described())
    problems += [f"{path}: would be written twice, rename a recording"
        for path, count in names.items() if count > 1]  # fmt: skip
    for files in outputs:
        with noting(problems):
            for path, option in files.described():
                check_output_file(path, option, inputs=inputs)
    if problems:
        raise InputError(problems)
