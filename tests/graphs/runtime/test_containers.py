"""An installation that cannot be written, used by somebody whom the system does not know.

As OpenShift starts containers: any user's number, no line in the table of users, a home that is
missing or is not theirs. A right to read everything stands in for a world-readable installation.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.small_runs import WRONG
from helpers.tiny_runs import ROOT, tiny_arguments

STRANGER = 48_731_265
AS_STRANGER = [
    *("setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
]

pytestmark = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="becomes another user: needs root and setpriv",
)

HOMES = {
    "the root": {"HOME": "/"},
    "none": {},
    "somebody else's": {"HOME": "/root", "XDG_CACHE_HOME": "/proc/c", "XDG_CONFIG_HOME": "/proc/s"},
    "a tilde": {"HOME": "/nowhere", "XDG_CACHE_HOME": "~/c", "NUMBA_CACHE_DIR": "~/k"},
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for Python's path with the package in it, as an installation has it; root's."""
    folder = tmp_path_factory.mktemp("site-packages")
    shutil.copytree(
        ROOT / ".package" / "tutelage",
        folder / "tutelage",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return folder


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the stranger may write: where commands are typed, and temporary files lie."""
    folder = Path(tempfile.mkdtemp())
    os.chown(folder, STRANGER, STRANGER)
    yield folder
    shutil.rmtree(folder)


def tutelage(
    *words: str, installed: Path, place: Path, home: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed), "TMPDIR": str(place)}
    return subprocess.run(
        [*AS_STRANGER, sys.executable, "-m", "tutelage", *words],
        env={**variables, **home},
        cwd=place,
        capture_output=True,
        check=False,
        text=True,
        timeout=280,
    )


@pytest.mark.parametrize("home", HOMES)
def test_a_command_finds_a_folder_and_says_so_in_a_line(
    home: str, installed: Path, place: Path
) -> None:
    done = tutelage("cache", "show", installed=installed, place=place, home=HOMES[home])
    assert done.returncode == 0, done.stderr
    folder = place / f"tutelage-{STRANGER}"
    assert str(folder / "plans.sqlite") in done.stdout
    (line,) = done.stderr.splitlines()
    assert str(folder) in line
    assert [path.name for path in place.iterdir()] == [folder.name], "and no folder `~`"
    assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.slow
@pytest.mark.parametrize("home", ["none", "a tilde"])
def test_a_run_is_made_and_leaves_its_kernels_for_the_next(
    home: str, installed: Path, place: Path
) -> None:
    words = [word for word in tiny_arguments(place) if not word.startswith("cache=")]
    words.pop()  # the `--set` before it
    done = tutelage("run", *words, installed=installed, place=place, home=HOMES[home])
    assert done.returncode == 0, done.stderr
    first, *told = done.stderr.splitlines()
    assert first.startswith("tutelage: ")
    assert not any(word in line for word in WRONG for line in told)
    folder = place / f"tutelage-{STRANGER}"
    assert list((folder / "kernels").rglob("*.nbi"))
    assert {path.name for path in place.iterdir()} == {folder.name, "run"}
