"""The command line of a checkout: `python cli.py ...` is what `tutelage ...` is once installed."""

from __future__ import annotations

import sys
from pathlib import Path

# In place of this folder, which Python puts first: the four folders are one package, `tutelage`.
sys.path[0] = str(Path(__file__).resolve().parent / ".package")

from tutelage.graphs.terminal.app import main  # noqa: E402 - see above

if __name__ == "__main__":
    main()
