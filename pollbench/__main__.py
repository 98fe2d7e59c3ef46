"""`python -m pollbench` is `pollbench`."""

import sys

from harness.__main__ import start

if __name__ == "__main__":
    sys.exit(start())
