"""The command `lth`."""

import sys

from lth import cli

if __name__ == "__main__":
    sys.exit(cli.entry())
