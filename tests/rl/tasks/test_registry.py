"""Tasks by name: the shipped families resolve, and code of one's own is found where it lies."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.tiny_runs import ROOT
from tutelage.rl.errors import UserError
from tutelage.rl.tasks.base import UnknownTaskError
from tutelage.rl.tasks.dotted_path import load, working_directory_on_path
from tutelage.rl.tasks.registry import make_task
from tutelage.rl.tasks.shipped import FAMILIES, ShippedTask, shipped_tasks

MODULE = "a_task_of_mine"
CODE = "from helpers.toy_task import Corridor\nclass Mine(Corridor):\n    name = 'Mine'\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, with a module in it."""
    (tmp_path / f"{MODULE}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    yield tmp_path
    assert sys.path == before
    sys.modules.pop(MODULE, None)


class TestShipped:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_a_familys_module_resolves(self, family: str) -> None:
        shipped = importlib.import_module(family).SHIPPED
        assert shipped
        assert all(isinstance(task, ShippedTask) for task in shipped)

    def test_names_are_distinct_and_each_is_made_under_its_own(self) -> None:
        names = [task.name for task in shipped_tasks()]
        assert len(set(names)) == len(names)
        made = make_task(names[0], 7)
        assert (made.name, made.default_steps) == (names[0], shipped_tasks()[0].default_steps)

    def test_listing_them_imports_no_environment(self) -> None:
        """The shell's completion waits for it."""
        code = (
            "import sys; from tutelage.rl.tasks.shipped import shipped_tasks; shipped_tasks();"
            "print([m for m in ('numpy', 'minigrid', 'numba', 'pydantic') if m in sys.modules])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT / ".package", capture_output=True, text=True
        )
        assert done.stdout.strip() == "[]", done.stderr

    def test_an_unknown_name_lists_what_there_is(self) -> None:
        with pytest.raises(UnknownTaskError, match=r"unknown environment 'Chess'.*SimpleDoorKey"):
            make_task("Chess", 7)
        assert issubclass(UnknownTaskError, UserError)


class TestOnesOwn:
    @pytest.mark.usefixtures("here")
    def test_a_module_of_the_working_directory_is_found(self) -> None:
        assert make_task(f"{MODULE}:Mine", 7).name == "Mine"

    @pytest.mark.parametrize("below", [".", "checkpoints/000001"])
    def test_never_inside_a_run_folder(
        self, here: Path, below: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (here / "config.json").write_text(json.dumps({"schema_version": 3}))
        (here / below).mkdir(parents=True, exist_ok=True)
        (here / below / f"{MODULE}.py").write_text(CODE)
        monkeypatch.chdir(here / below)
        with pytest.raises(UnknownTaskError, match=f"No module named '{MODULE}'"):
            make_task(f"{MODULE}:Mine", 7)
        (here / "config.json").write_text(json.dumps({"name": "of something else"}))
        assert make_task(f"{MODULE}:Mine", 7).name == "Mine"

    def test_the_directory_is_gone_from_the_path_where_the_import_fails(self, here: Path) -> None:
        (here / f"{MODULE}.py").write_text("raise RuntimeError('broken')")
        with pytest.raises(RuntimeError, match="broken"):
            load(f"{MODULE}:Mine")
        assert str(here) not in sys.path

    def test_what_it_imports_when_it_is_called_is_found(self, here: Path) -> None:
        (here / "beside_it.py").write_text("from helpers.toy_task import Corridor")
        code = "def make():\n    from beside_it import Corridor\n    return Corridor()\n"
        (here / f"{MODULE}.py").write_text(code)
        assert make_task(f"{MODULE}:make", 7).name == "Corridor"
        assert str(here) not in sys.path

    def test_it_stands_before_no_package(self, here: Path) -> None:
        with working_directory_on_path():
            assert sys.path[-1] == str(here)

    def test_a_folder_there_is_imported_by_nothing_else(self, here: Path) -> None:
        """Neither by the command, nor by its libraries while a module of one's own is loaded."""
        for name in ("org", "rl", "agents"):
            (here / name).mkdir()
            (here / name / "__init__.py").write_text("raise SystemExit('it was imported')")
        done = subprocess.run(
            [sys.executable, ROOT / "cli.py", "envs", "show", f"{MODULE}:Mine", "--json"],
            cwd=here,
            capture_output=True,
            text=True,
            env={"PYTHONPATH": str(ROOT / "tests"), "PATH": "/usr/bin:/bin"},
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["name"] == "Mine"

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            ("no_such_module:Task", "cannot be made: No module named"),
            (f"{MODULE}:Other", "cannot be made: module .* has no attribute 'Other'"),
            (":Mine", "cannot be made"),
            ("helpers.toy_task:OPTIONS", "cannot be made: 'tuple' object is not callable"),
            ("builtins:dict", r"is no Task, it lacks act, action_names, .*rl/tasks/base.py"),
        ],
    )
    @pytest.mark.usefixtures("here")
    def test_what_is_no_task_is_one_line(self, path: str, message: str) -> None:
        with pytest.raises(UnknownTaskError, match=message) as caught:
            make_task(path, 7)
        assert "\n" not in str(caught.value)

    def test_a_deleted_working_directory_is_no_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        try:
            assert load("json:loads") is json.loads
        finally:
            monkeypatch.chdir(tmp_path)
