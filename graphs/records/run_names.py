"""A run as people name it: its folder, a piece of its name that no other has, or `@last`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tutelage.agents.common.files import RunFolderError
from tutelage.agents.common.invocation import hint
from tutelage.graphs.records.run_folder import RUNS, run_paths
from tutelage.rl.errors import did_you_mean

LAST: Final = "@last"
"""The run that was started last of those in `runs/` and below it, which is the first one of `runs
list`. It may be running, interrupted, failed or finished, alone or one of a comparison; to be
resumed is not to be started."""

_NAMED: Final = 5
"""How many of the runs that a piece fits are named."""


def find_run(text: str, with_groups: bool = False) -> Path:
    """The run that a text names: a path that is there, `LAST`, or a piece of a name in `runs/`.

    A piece counts in any case, and a whole name before a piece. with_groups: whether a folder of
    runs, such as a comparison's, may be meant too. Raises RunFolderError where no run or more than
    one is meant.
    """
    found = _find(text, with_groups)
    if found is None:
        names = [LAST, *map(_name, _candidates(with_groups))]
        raise RunFolderError(
            f"{text}: there is no such run folder{did_you_mean(text, names)}; "
            f"see {hint('runs', 'list')}"
        )
    return found


def find_run_to_come(text: str) -> Path:
    """As `find_run`; a text that names none yet is the path of a run that is to begin."""
    return _find(text, with_groups=False) or Path(text)


def _find(text: str, with_groups: bool) -> Path | None:
    """The run that is meant, None where none is. Raises RunFolderError for more than one."""
    if os.path.lexists(text):  # False for what is no path at all, such as one that is too long
        return Path(text)
    if text == LAST:
        runs = run_paths(RUNS)
        if not runs:
            raise RunFolderError(f"{LAST}: there is no run in {RUNS} yet; make one: {hint('run')}")
        return runs[0]
    wanted = text.strip("/").lower()
    if not wanted:
        return None
    fits = [each for each in _candidates(with_groups) if _fits(wanted, each)]
    whole = [each for each in fits if wanted in _names(each)]
    # What lies in a folder that fits is not meant beside it.
    fits = whole or [each for each in fits if not set(fits) & set(each.parents)]
    if len(fits) > 1:
        named = ", ".join(map(_name, fits[:_NAMED])) + (", …" if len(fits) > _NAMED else "")
        raise RunFolderError(
            f"{text}: {len(fits)} runs have this in their names ({named}); type more of one"
        )
    return fits[0] if fits else None


def _candidates(with_groups: bool) -> list[Path]:
    """The runs, the newest first, and the folders of several between `runs/` and them."""
    runs = run_paths(RUNS)
    return [*_groups(runs), *runs] if with_groups else runs


def _groups(runs: Iterable[Path]) -> dict[Path, None]:
    between = (folder for run in runs for folder in run.parents if RUNS in folder.parents)
    return dict.fromkeys(between)


def _name(run: Path) -> str:
    """What is typed of a run in `runs/`."""
    return str(run.relative_to(RUNS))


def _names(run: Path) -> tuple[str, str, str]:
    """A run's whole names, in small letters: with `runs/`, without it, and its folder's own."""
    return str(run).lower(), _name(run).lower(), run.name.lower()


def _fits(wanted: str, run: Path) -> bool:
    whole, name, _ = _names(run)
    return wanted in name or whole.startswith(wanted)
