"""The command `lth`."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the working directory, whose calendar.py would be taken for Python's own
    from lth import cli

    sys.exit(cli.entry())
