"""The page of a scored run: python -m cmss.report exp/default --beside exp/passthrough exp/oracle.

Writes EXP_FOLDER/report/index.html, which opens from disk. The run is one of enhance.py, scored by
evaluate.py and, where it had several jobs, joined by merge_results.py; so are the runs beside it,
of the same pairs.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from cmss.configuration import build_hearing_aid, chosen_pairs, kept_configuration
from cmss.errors import InputError
from cmss.report.page import write_report
from cmss.scoring import Scorer
from cmss.stage import one_line, progress


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m cmss.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="EXP_FOLDER")
    parser.add_argument("--beside", type=Path, nargs="+", default=[], metavar="EXP_FOLDER",
        help="other runs to show beside it")  # fmt: skip
    options = parser.parse_args(arguments)
    try:
        config = kept_configuration(options.folder)
        pairs = chosen_pairs(config)
        scorer = Scorer(build_hearing_aid(config))
        page = write_report(
            options.folder, pairs, scorer, options.beside, partial(progress, desc="report")
        )
    except InputError as error:
        for problem in error.problems:
            print(one_line(problem), file=sys.stderr)
        return 2
    except OSError as error:
        print(one_line(str(error)), file=sys.stderr)
        return 1
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
