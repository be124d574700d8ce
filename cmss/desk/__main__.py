import sys

from cmss.desk import main

if __name__ == "__main__":
    sys.exit(main())
