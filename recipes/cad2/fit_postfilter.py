"""Train a post-filter on training tracks.

python recipes/cad2/fit_postfilter.py path.root=DATA
"""

import sys

from cmss.commands.program import main

if __name__ == "__main__":
    sys.exit(main(["fit_postfilter", *sys.argv[1:]]))
