"""The command `tutelage`, as a module and as a file: `python -m tutelage`."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts the working directory, or this file's own, first on the path: neither is a place
    # to import from.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tutelage.graphs.terminal.app import main

if __name__ == "__main__":
    main()
