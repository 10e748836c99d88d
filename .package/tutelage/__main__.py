"""The command `tutelage`, as a module and as a file: `python -m tutelage`."""

from __future__ import annotations

import os  # Python has loaded both by now: nothing is looked for before the path is right
import sys

if __name__ == "__main__":
    # Python puts the working directory, or this file's own, first on the path, if anything: neither
    # is a place to import from.
    _here = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120 - not pathlib, see above
    if not sys.flags.safe_path:
        del sys.path[0]
    sys.path.insert(0, os.path.dirname(_here))  # noqa: PTH120

from tutelage.graphs.terminal.app import main

if __name__ == "__main__":
    main()
