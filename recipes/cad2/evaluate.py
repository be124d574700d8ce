"""Compute HAAQI of the enhanced signals of a run.

python recipes/cad2/evaluate.py path.exp_folder=exp
"""

import sys

from cmss.commands.program import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
