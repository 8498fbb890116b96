"""``python -m inkwash``."""

import sys

from inkwash.cli import main

if __name__ == "__main__":
    sys.exit(main())
