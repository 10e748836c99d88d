"""Tasks by name: shipped ones, those of packages, Gymnasium's ids, and code of one's own."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium
import pytest

from helpers.tiny_runs import ROOT
from helpers.toy_task import Corridor
from tutelage.rl.errors import UserError
from tutelage.rl.tasks import shipped
from tutelage.rl.tasks.base import UnknownTaskError
from tutelage.rl.tasks.dotted_path import working_directory_on_path
from tutelage.rl.tasks.entry_points import installed_tasks, package_of
from tutelage.rl.tasks.registry import is_own_code, make_task
from tutelage.rl.tasks.settings import TaskSettings
from tutelage.rl.tasks.shipped import FAMILIES, ShippedTask, shipped_tasks

MODULE = "a_task_of_mine"
CODE = "from helpers.toy_task import Corridor\nclass Mine(Corridor):\n    name = 'Mine'\n"
MISTAKES = """\
import gymnasium
from gymnasium.error import DependencyNotInstalled
class World(gymnasium.Env): pass
def fails():
    return 1 / 0
def nothing(): pass
def a_dict(): return {}
def world(): return World()
def leaves(): raise SystemExit("I am off")
def misspells(): return gymnasium.make("Taxy-v4")
def needs(): import nobodys.part
def lacks(): raise DependencyNotInstalled("Box3D is not installed, run `pip install box3d`")
"""
SIZED = """\
from helpers.toy_task import Corridor
class Sized(Corridor):
    def __init__(self, size: int, *, map_name: str = "plain", **more):
        self.name = f"{size} {map_name} {more}"
def make(size=9, level=None):
    return Sized(size, map_name=level)
def at_place(place, /): pass
def anything(*values, **named): return Sized(0, **named)
class Compiled: __signature__ = 5
"""


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
        """The shell's completion waits for it, as for the tasks of installed packages."""
        code = (
            "import sys; from tutelage.rl.tasks.shipped import shipped_tasks; shipped_tasks();"
            "from tutelage.rl.tasks.entry_points import installed_tasks; installed_tasks();"
            "heavy = ('numpy', 'gymnasium', 'minigrid', 'numba', 'pydantic');"
            "print([m for m in heavy if m in sys.modules])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT / ".package", capture_output=True, text=True
        )
        assert done.stdout.strip() == "[]", done.stderr

    def test_one_takes_no_arguments(self) -> None:
        with pytest.raises(UnknownTaskError, match=r"env\.size: SimpleDoorKey, .* no argum"):
            make_task("SimpleDoorKey", 7, arguments={"size": 5})


class TestUnknownNames:
    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("SimpleDorKey", r"did you mean 'SimpleDoorKey' or "),
            ("simpledoorkey", r"did you mean 'SimpleDoorKey' or "),
            ("Taxi", r"did you mean 'Taxi-v\d+'\?"),
            ("BabyAI-GoToLocal", "did you mean 'BabyAI-GoToLocal"),
            ("Chess", r"unknown environment 'Chess'; see `envs list`; .*module:attribute"),
            (MODULE, f"{MODULE}:NAME"),
            (f"{MODULE}.py", f"{MODULE}:NAME"),
            ("a" * 10_000, "see `envs list`"),
            ("a\0b", "see `envs list`"),
            ("", "see `envs list`"),
        ],
    )
    @pytest.mark.usefixtures("here")
    def test_the_nearest_ones_are_named(self, name: str, says: str) -> None:
        with pytest.raises(UnknownTaskError, match=says) as caught:
            make_task(name, 7)
        assert issubclass(UnknownTaskError, UserError)
        assert len(str(caught.value)) < 250 + len(name)  # and not all there are


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
        with pytest.raises(UnknownTaskError, match=f"there is no module '{MODULE}'; .* not in /"):
            make_task(f"{MODULE}:Mine", 7)
        (here / "config.json").write_text(json.dumps({"name": "of something else"}))
        assert make_task(f"{MODULE}:Mine", 7).name == "Mine"

    @pytest.mark.parametrize("path", ["runs.first.evil:make", "runs.first.code.evil:make"])
    @pytest.mark.parametrize("key", ["schema_version", r"schema\u005fversion"])
    def test_no_path_leads_into_a_run_folder(self, here: Path, path: str, key: str) -> None:
        """Whoever names it: it may have been the settings of a stranger's run."""
        run = here / "runs" / "first"
        file = here.joinpath(*path.partition(":")[0].split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("raise SystemExit('it was imported')")
        (run / "config.json").write_text(f'{{"{key}": 3}}')
        with pytest.raises(
            UnknownTaskError, match=r"leads into /.*/runs/first, and files in a run"
        ):
            make_task(path, 7)

    def test_the_directory_is_gone_from_the_path_where_the_import_fails(self, here: Path) -> None:
        (here / f"{MODULE}.py").write_text("raise RuntimeError('broken')")
        with pytest.raises(UnknownTaskError, match="RuntimeError: broken"):
            make_task(f"{MODULE}:Mine", 7)
        assert str(here) not in sys.path

    def test_what_it_imports_when_it_is_called_is_found(self, here: Path) -> None:
        (here / "beside_it.py").write_text("from helpers.toy_task import Corridor")
        code = "def make():\n    from beside_it import Corridor\n    return Corridor()\n"
        (here / f"{MODULE}.py").write_text(code)
        assert make_task(f"{MODULE}:make", 7).name == "Corridor"
        assert str(here) not in sys.path

    @pytest.mark.parametrize("name", ["max_episode_steps", "default_steps"])
    @pytest.mark.parametrize("count", ["2**70", "0", "10**5000", "1.5", "[]"])
    def test_its_steps_are_counted(self, here: Path, name: str, count: str) -> None:
        code = (
            f"from helpers import toy_task\nclass Odd(toy_task.Corridor):\n    {name} = {count}\n"
        )
        (here / f"{MODULE}.py").write_text(code)
        with pytest.raises(UnknownTaskError, match=f"its {name} must be an integer between 1 and"):
            make_task(f"{MODULE}:Odd", 7)

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
            (
                "no_such_module:Task",
                r"there is no module 'no_such_module'; looked for in /.* and on Python's path$",
            ),
            (
                "a_tsk_of_mine:Mine",
                rf"there is no module 'a_tsk_of_mine' \(did you mean '{MODULE}'",
            ),
            (f"{MODULE}.py:Mine", rf"there is no module '{MODULE}.py' \(did you mean '{MODULE}'"),
            (f"{MODULE}.inner:Mine", f"there is no module '{MODULE}.inner'"),
            (f"{MODULE}:mime", rf"module '{MODULE}' has no attribute 'mime' \(did you mean 'Mine'"),
            (f"{MODULE}:Mine.Inner", "'Mine' has no attribute 'Inner'"),
            ("json:Mine", r"of Python's own, which it finds before json.py here; .* another name"),
            ("yaml:Mine", r"yaml/__init__.py, which Python finds before yaml.py here.*'Mine'"),
            (":Mine", "is not of the form module:attribute"),
            (f"{MODULE}:", "is not of the form module:attribute"),
            (f".{MODULE}:Mine", "is not of the form module:attribute"),
            ("helpers.toy_task:OPTIONS", "something of type tuple, which cannot be called"),
            (
                f"{MODULE}:a_dict",
                r"is no GymTask and no Task, it lacks act, action_names, .*rl/tasks/base.py",
            ),
            (f"{MODULE}:nothing", "makes nothing: a function must `return` its task"),
            (f"{MODULE}:world", "makes a Gymnasium environment, .*write a GymTask"),
            (f"{MODULE}:World", "is a Gymnasium environment, .*write a GymTask"),
            (f"{MODULE}:fails", rf"{MODULE}\.py, line 8: ZeroDivisionError: division by zero$"),
            (f"{MODULE}:leaves", rf"{MODULE}\.py, line \d+: SystemExit: I am off$"),
            (f"{MODULE}:misspells", rf"{MODULE}\.py, line \d+: NameNotFound: .*`Taxi`"),
            (
                f"{MODULE}:needs",
                rf"{MODULE}\.py, line \d+: the package 'nobodys' is not installed: pip install nob",
            ),
            (f"{MODULE}:lacks", r":lacks': Box3D is not installed, run `pip install box3d`$"),
        ],
    )
    def test_a_mistake_is_one_line(self, here: Path, path: str, message: str) -> None:
        (here / f"{MODULE}.py").write_text(CODE + MISTAKES)
        (here / "json.py").touch()
        (here / "yaml.py").touch()
        with pytest.raises(UnknownTaskError, match=message) as caught:
            make_task(path, 7)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            ("\n1 / 0\n", r"importing it fails: .*\.py, line 2: ZeroDivisionError"),
            ("def f(:\n", r"importing it fails: .*\.py, line 1: SyntaxError: invalid syntax$"),
            ("import nobodys.part\n", r"\.py, line 1: the package 'nobodys' is not installed: pip"),
            ("import numpy.nothing\n", r"\.py, line 1: there is no module 'numpy.nothing'$"),
            ("from json import nothing\n", r"\.py, line 1: ImportError: cannot import name"),
            ("import sys\nsys.exit('off')\n", r"\.py, line 2: SystemExit: off$"),
            ("assert 0, 'a\\n' + 'b' * 1000", r"line 1: AssertionError: a …$"),
            ("def __getattr__(name): raise OSError('no')", r"line 1: OSError: no$"),
        ],
    )
    def test_a_module_that_does_not_load_is_one_line(
        self, here: Path, code: str, message: str
    ) -> None:
        (here / f"{MODULE}.py").write_text(code)
        with pytest.raises(UnknownTaskError, match=message) as caught:
            make_task(f"{MODULE}:Mine", 7)
        assert "\n" not in str(caught.value)

    def test_a_line_that_people_can_mend_passes_as_it_is(self, here: Path) -> None:
        code = "from tutelage import make_task\ndef make(): return make_task('SimpleDorKey', 7)\n"
        (here / f"{MODULE}.py").write_text(code)
        with pytest.raises(UnknownTaskError, match=r"^unknown environment 'SimpleDorKey'"):
            make_task(f"{MODULE}:make", 7)

    @pytest.mark.usefixtures("here")
    def test_the_settings_of_shipped_tasks_are_not_for_it(self) -> None:
        with pytest.raises(UnknownTaskError, match=r"task\.\* are for the shipped tasks"):
            make_task(f"{MODULE}:Mine", 7, TaskSettings(lava_known=False))

    def test_a_deleted_working_directory_is_no_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        try:
            assert make_task("helpers.toy_task:Corridor", 7).name == "Corridor"
            with pytest.raises(UnknownTaskError, match="the working directory was deleted"):
                make_task("nowhere:Corridor", 7)
        finally:
            monkeypatch.chdir(tmp_path)


class TestArguments:
    @pytest.fixture(autouse=True)
    def sized(self, here: Path) -> None:
        (here / f"{MODULE}.py").write_text(SIZED)

    @pytest.mark.parametrize(
        ("attribute", "arguments", "name"),
        [
            ("Sized", {"size": 5}, "5 plain {}"),
            ("Sized", {"size": [1], "map_name": "8x8", "more": 2}, "[1] 8x8 {'more': 2}"),
            ("make", {}, "9 None {}"),
            ("make", {"level": {"a": None}}, "9 {'a': None} {}"),
            ("anything", {"b-c": 1}, "0 plain {'b-c': 1}"),
        ],
    )
    def test_they_are_handed_on_by_name(
        self, attribute: str, arguments: dict[str, Any], name: str
    ) -> None:
        assert make_task(f"{MODULE}:{attribute}", 7, arguments=arguments).name == name

    @pytest.mark.parametrize(
        ("attribute", "arguments", "message"),
        [
            ("Sized", {}, r"missing a required argument: 'size'; it takes size, map_name, .*--set"),
            (
                "make",
                {"sise": 1},
                "no argument 'sise' \\(did you mean 'size'\\?\\); it takes size, level$",
            ),
            ("make", {"x": 1}, "no argument 'x'; it takes size, level$"),
            ("at_place", {"place": 1}, "no argument 'place'; it takes none$"),
        ],
    )
    def test_a_wrong_one_is_one_line_with_what_is_allowed(
        self, attribute: str, arguments: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(UnknownTaskError, match=message):
            make_task(f"{MODULE}:{attribute}", 7, arguments=arguments)

    def test_compiled_code_may_not_say_what_it_takes(self) -> None:
        with pytest.raises(UnknownTaskError, match="TypeError: "):
            make_task(f"{MODULE}:Compiled", 7, arguments={"size": 1})


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Installs a package whose entry points are the given lines."""

    def install(*lines: str, package: str = "somebodys-tasks") -> None:
        place = tmp_path / "site"
        info = place / f"{package.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("\n".join(["[tutelage.tasks]", *lines, ""]))
        (place / f"{MODULE}.py").write_text(CODE + SIZED)
        if str(place) not in sys.path:
            monkeypatch.syspath_prepend(str(place))

    yield install
    sys.modules.pop(MODULE, None)


class TestEntryPoints:
    def test_one_is_a_name_like_any_other(self, install: Callable[..., None]) -> None:
        install(f"somebodys = {MODULE}:Mine", f"sized = {MODULE}:Sized [an-extra]")
        assert [(point.name, package_of(point)) for point in installed_tasks()] == [
            ("sized", "somebodys-tasks"),
            ("somebodys", "somebodys-tasks"),
        ]
        assert make_task("somebodys", 7).name == "Mine"
        assert make_task("sized", 7, arguments={"size": 3}).name == "3 plain {}"
        with pytest.raises(UnknownTaskError, match="did you mean 'somebodys"):
            make_task("sombodys", 7)

    def test_it_is_code_of_ones_own(self, install: Callable[..., None]) -> None:
        install(f"somebodys = {MODULE}:Mine", f"SimpleDoorKey = {MODULE}:Mine")
        assert is_own_code("somebodys")
        assert is_own_code("anything:else")
        assert not is_own_code("SimpleDoorKey")  # a shipped one goes first
        assert not is_own_code("BabyAI-GoToLocal-v0")
        assert make_task("SimpleDoorKey", 7).name == "SimpleDoorKey"

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (
                "nobodys_module:Mine",
                "there is no module 'nobodys_module'; looked for on Python's path$",
            ),
            (f"{MODULE}:Mime", r"has no attribute 'Mime' \(did you mean 'Mine'"),
            (MODULE, "is not of the form module:attribute"),
            ("what: is: this", "there is no module 'what'"),
            ("helpers.toy_task:LENGTH", "which cannot be called"),
            ("helpers.toy_task:Corridor", "no argument 'siz'; it takes none"),
        ],
    )
    def test_a_broken_one_is_one_line(
        self, install: Callable[..., None], value: str, message: str
    ) -> None:
        install(f"broken = {value}")
        with pytest.raises(UnknownTaskError, match=f"^environment 'broken' of som.*{message}"):
            make_task("broken", 7, arguments={"siz": 1} if "Corridor" in value else None)

    def test_its_module_is_not_looked_for_in_the_working_directory(
        self, install: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "a_stray_module.py").write_text(CODE)
        monkeypatch.chdir(tmp_path)
        install("stray = a_stray_module:Mine")
        with pytest.raises(
            UnknownTaskError,
            match=r"there is no module 'a_stray_module'; looked for on Python's path$",
        ):
            make_task("stray", 7)

    def test_a_name_of_two_packages_is_nobodys(self, install: Callable[..., None]) -> None:
        install(f"twice = {MODULE}:Mine")
        install(f"twice = {MODULE}:Sized", package="others-tasks")
        with pytest.raises(UnknownTaskError, match=r"several packages .*:Mine \(som.*:Sized \(oth"):
            make_task("twice", 7)


@pytest.fixture
def registered(here: Path) -> Iterator[str]:
    """An id of Gymnasium's for an environment in a module of one's own."""
    (here / f"{MODULE}.py").write_text(CODE + MISTAKES)
    gymnasium.register("Odd/BigWorld-v2", f"{MODULE}:World")
    with working_directory_on_path():
        importlib.import_module(MODULE)
    yield "Odd/BigWorld-v2"
    del gymnasium.registry["Odd/BigWorld-v2"]


class TestGymnasiumsIds:
    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("Taxi-v4", r"no situations .*: envs new taxi\.py --from Taxi-v4$"),
            ("MountainCar-v0", r"envs new mountain_car\.py --from MountainCar-v0$"),
            ("Odd/BigWorld-v2", r"envs new big_world\.py --from Odd/BigWorld-v2$"),
            ("Taxi-v1", r"deprecated. Please use `Taxi-v\d`"),
            ("Taxi-v99", r"'Taxi-v99': Environment version `v99` .*`v\d`"),
            ("Taxy-v4", "unknown environment 'Taxy-v4': .*Did you mean: `Taxi`"),
            ("MiniGrid-DoorKey-8x8-v7", "`v7` for environment `MiniGrid-DoorKey-8x8`"),
            ("BabyAI-GoToLocall-v0", "Did you mean: `BabyAI-GoToLocal`"),
            ("Nowhere/Chess-v0", "Namespace Nowhere not found"),
        ],
    )
    @pytest.mark.usefixtures("registered")
    def test_one_that_is_no_task_is_one_line(self, name: str, message: str) -> None:
        with pytest.raises(UnknownTaskError, match=message) as caught:
            make_task(name, 7)
        assert "\n" not in str(caught.value)

    def test_one_whose_package_is_missing_says_what_to_type(self, here: Path) -> None:
        (here / f"{MODULE}.py").write_text(f"{MISTAKES}\nlacks()\n")
        gymnasium.register("NeedsMore-v0", f"{MODULE}:World")
        try:
            with working_directory_on_path(), pytest.raises(UnknownTaskError) as caught:
                make_task("NeedsMore-v0", 7)
        finally:
            del gymnasium.registry["NeedsMore-v0"]
        line = "environment 'NeedsMore-v0': Box3D is not installed, run `pip install box3d`"
        assert str(caught.value) == line


class TestFamilies:
    """A family may take what is no shipped task: an id of Gymnasium's, an environment's class."""

    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch, registered: str) -> list[Any]:
        """What a stand-in family is asked for; it takes Odd worlds."""
        asked: list[Any] = []

        def adopt(named: Any, crop: Any, settings: Any, arguments: Any) -> Corridor | None:
            asked.append((named, crop, settings, dict(arguments)))
            if arguments.get("height") == 0:
                raise ZeroDivisionError("no height")
            odd = named == registered if isinstance(named, str) else named.__name__ == "World"
            return Corridor() if odd else None

        family = ModuleType("an_odd_family")
        vars(family).update(SHIPPED=(), adopt=adopt)
        monkeypatch.setitem(sys.modules, "an_odd_family", family)
        monkeypatch.setattr(shipped, "FAMILIES", (*FAMILIES, "an_odd_family"))
        return asked

    def test_it_takes_an_id(self, asked: list[Any], registered: str) -> None:
        settings = TaskSettings(lava_known=False)
        assert make_task(registered, 5, settings).name == "Corridor"
        assert asked == [(registered, 5, settings, {})]

    def test_it_takes_a_class(self, asked: list[Any], here: Path) -> None:
        code = CODE + MISTAKES.replace(
            "Env): pass", "Env):\n    def __init__(self, height=3): pass"
        )
        (here / f"{MODULE}.py").write_text(code)
        sys.modules.pop(MODULE)
        settings = TaskSettings(engine="gymnasium")
        made = make_task(f"{MODULE}:World", None, settings, {"height": 4})
        assert made.name == "Corridor"
        world = sys.modules[MODULE].World
        assert asked == [(world, None, settings, {"height": 4})]
        with pytest.raises(UnknownTaskError, match=r"no argument 'heigt' \(did you mean 'height'"):
            make_task(f"{MODULE}:World", 7, arguments={"heigt": 4})
        with pytest.raises(UnknownTaskError, match="ZeroDivisionError: no height"):
            make_task(f"{MODULE}:World", 7, arguments={"height": 0})

    def test_arguments_of_an_id_are_checked(self, asked: list[Any], registered: str) -> None:
        with pytest.raises(UnknownTaskError, match="no argument 'height'; it takes none"):
            make_task(registered, 7, arguments={"height": 4})
        assert asked == []

    def test_a_task_is_nothing_to_adopt(self, asked: list[Any]) -> None:
        assert make_task(f"{MODULE}:Mine", 7).name == "Mine"
        assert asked == []

    def test_what_it_does_not_take_is_refused_as_before(self, asked: list[Any]) -> None:
        with pytest.raises(UnknownTaskError, match=r"envs new taxi\.py"):
            make_task("Taxi-v4", 7)
        assert [named for named, *_ in asked] == ["Taxi-v4"]
