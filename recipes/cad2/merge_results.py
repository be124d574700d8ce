"""Merge the scores of all jobs of a run, and build the submission and the report.

python recipes/cad2/merge_results.py path.exp_folder=exp
"""

import sys

from cmss.commands.program import main

if __name__ == "__main__":
    sys.exit(main(["merge", *sys.argv[1:]]))
