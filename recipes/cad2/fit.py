"""Fit the weights of an ensemble of separators on training tracks.

python recipes/cad2/fit.py path.root=DATA
"""

import sys

from cmss.commands.program import main

if __name__ == "__main__":
    sys.exit(main(["fit", *sys.argv[1:]]))
