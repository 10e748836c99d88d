"""No command runs code that lies in the working directory or in a run folder unless it is named.

Every module that Python or an installed package could look for lies there as a trap, which leaves a
mark when it runs. All in processes of their own, as people start them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

from helpers.tiny_runs import CLI, IMPORTABLE, ROOT, environment, make_run, tiny_arguments

_STANDARD = {*sys.stdlib_module_names}
_LOOKED_FOR = {"org", "brotli", "brotlicffi", "psutil", "socksio", "h2", "uvloop", "cupy", "numpy"}
"""What libraries try to import and do without, and one of those that they need."""
_OURS = {"rl", "agents", "graphs", "prompts", "cli", "sitecustomize"}

INSTALLED = (
    f"import sys; sys.path[0] = {str(ROOT / '.package')!r}; "
    "from tutelage.graphs.terminal.app import main; main()"
)
"""As the script of an installation begins, whose folder stands first on Python's path."""
STARTED = {
    "cli.py": [str(CLI)],
    "installed": ["-P", "-c", f"import sys; sys.path.insert(0, ''); {INSTALLED}"],
    "-m": ["-m", "tutelage"],
    "-P -m": ["-P", "-m", "tutelage"],
}


def set_traps(folder: Path, mark: Path, started: str) -> None:
    """Lay a trap of every name into a folder, half of them as packages.

    `python -m` itself imports from the working directory, before it knows whose module it runs:
    there only what is no part of Python can be kept out.
    """
    folder.mkdir(exist_ok=True)
    names = {*packages_distributions(), *_LOOKED_FOR, *_OURS}
    names -= _STANDARD | {"tutelage"}
    if started != "-m":
        names |= _STANDARD
    for number, name in enumerate(sorted(filter(str.isidentifier, names))):
        file = folder / f"{name}.py"
        if number % 2 or name in _LOOKED_FOR:
            file = folder / name / "__init__.py"
            file.parent.mkdir(exist_ok=True)
        file.write_text(f"open({str(mark)!r}, 'a').write('{name} ')\n")


def start(
    started: str, cwd: Path, *words: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. Python keeps nothing of what it compiles."""
    if started.endswith("-m"):
        variables["PYTHONPATH"] = IMPORTABLE
    return subprocess.run(
        [sys.executable, *STARTED[started], *words],
        cwd=cwd,
        env=environment({**variables, "PYTHONDONTWRITEBYTECODE": "1"}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


def test_a_trap_that_is_imported_leaves_its_mark(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    set_traps(tmp_path / "here", mark, "cli.py")
    subprocess.run([sys.executable, "-c", "import org, brotli"], cwd=tmp_path / "here", check=True)
    assert {"org", "brotli"} <= set(mark.read_text().split())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with a student and a trace."""
    return make_run(tmp_path_factory.mktemp("made")).path


@pytest.mark.slow
@pytest.mark.parametrize("started", STARTED)
def test_no_command_imports_what_lies_about(tmp_path: Path, made: Path, started: str) -> None:
    """Neither beside a run nor in its folder, and what the command is for is done."""
    mark, here = tmp_path / "mark", tmp_path / "here"
    run = here / "runs" / "first"
    shutil.copytree(made, run)
    set_traps(here, mark, started)
    set_traps(run, mark, started)
    for words in (
        ["runs", "list", ".."],
        ["trace", "list", "."],
        ["eval", ".", "--episodes", "1"],
        ["watch", "."],
        ["export", "."],
        ["resume", "."],
        ["report", "."],
        ["providers", "check", "offline"],
    ):
        done = start(started, run, *words)
        assert not mark.exists(), (words, mark.read_text())
        assert done.returncode == (2 if words[0] == "resume" else 0), (words, done.stderr)
    done = start(started, here, "runs", "list")
    assert "first" in done.stdout, done.stderr
    assert not mark.exists(), mark.read_text()


@pytest.mark.slow
def test_no_process_of_a_run_imports_what_lies_about(tmp_path: Path) -> None:
    """Those that compile are started, for there is nothing compiled yet."""
    mark, here = tmp_path / "mark", tmp_path / "here"
    set_traps(here, mark, "cli.py")
    kept = {"NUMBA_CACHE_DIR": str(tmp_path / "kernels")}
    done = start("cli.py", here, "run", *tiny_arguments(here), **kept)
    assert done.returncode == 0, done.stderr
    assert not mark.exists(), mark.read_text()


@pytest.mark.slow
def test_no_process_of_an_environment_imports_what_lies_about(tmp_path: Path) -> None:
    """The working directory stands last there too, so that one's own task hides nothing."""
    mark, here = tmp_path / "mark", tmp_path / "here"
    here.mkdir()
    for name in filter(find_spec, _STANDARD - {"__main__"}):
        (here / f"{name}.py").write_text(f"open({str(mark)!r}, 'a').write('{name} ')\n")
    (here / "mine.py").write_text(
        "from helpers.gym_tasks import Pole\n\n\ndef make():\n    return Pole(workers=1)\n"
    )
    on_path = {"PYTHONPATH": IMPORTABLE}
    few = ["--episodes", "2"]
    done = start("cli.py", here, "envs", "check", "mine:make", *few, **on_path)
    assert "no promise broken" in done.stdout, done.stderr
    assert not mark.exists(), mark.read_text()
