"""`python -m runtime` and the command `switchboard`."""

import sys

from runtime.cli import main

if __name__ == "__main__":
    sys.exit(main())
