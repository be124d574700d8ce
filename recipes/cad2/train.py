"""Train the network of a separator.

python recipes/cad2/train.py path.root=DATA model=convtasnet size=small
"""

import sys

from cmss.commands.program import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
