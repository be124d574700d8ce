"""The benchmark of mixtures that are rendered from notes and scores."""

import re

from benchmarks.rendered_data import print_difficulty
from cmss.models.outputs import OUTPUTS
from cmss.models.waveunet import WaveUNet, WaveUNetArguments
from tests.support.tiny_material import tiny_material


def test_the_improvement_is_over_the_sources_that_play(capsys):
    arguments = WaveUNetArguments(OUTPUTS, samplerate=11025, levels=2, filters=4)
    print_difficulty(tiny_material(), WaveUNet(arguments).eval(), batches=1, size=2)
    lines = capsys.readouterr().out.splitlines()
    pattern = r"\w+( effects?)? +(-?\d+\.\d\d) dB, (\d+) sources"
    found = [re.fullmatch(pattern, line) for line in lines]
    assert lines[0].startswith("no effect")
    assert lines[-1].startswith("all effects")
    # Two mixtures of two to five players. The improvement is limited to -20 to 40 dB.
    assert all(match and 4 <= int(match[3]) <= 10 for match in found), lines
    assert all(match and -20 <= float(match[2]) <= 40 for match in found)
