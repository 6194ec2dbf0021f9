"""``python -m maypole`` is the command ``maypole``."""

import sys

from maypole.cli import main

if __name__ == "__main__":
    sys.exit(main())
