"""Write an enhanced signal for each pair of scene and listener.

python recipes/cad2/enhance.py path.root=/data
"""

import sys

from cmss.commands.program import main

if __name__ == "__main__":
    sys.exit(main(["enhance", *sys.argv[1:]]))
