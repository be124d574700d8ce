"""Learn the spectral templates of each instrument from training tracks.

python recipes/cad2/fit_dictionaries.py path.root=DATA
"""

import sys

from cmss.commands.program import main

if __name__ == "__main__":
    sys.exit(main(["fit_dictionaries", *sys.argv[1:]]))
