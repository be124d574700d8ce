import sys

from cmss.listen import main

if __name__ == "__main__":
    sys.exit(main())
