"""Arguments of a task, `env.NAME=VALUE`: from all sides into the run, and shown as they were typed.

A task that takes some stands in the tests' own folder.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event as StopSignal

import pytest

from helpers.tiny_runs import make_run, strict_json
from tutelage.agents.common.files import RunFolderError
from tutelage.graphs.analysis.evaluation import config_of
from tutelage.graphs.config.config import (
    ConfigError,
    RunConfig,
    describe_fields,
    flat,
    make_config,
    with_fields,
)
from tutelage.graphs.runtime.run import resume
from tutelage.graphs.runtime.trust import check_imports

MODULE = "sized_task"
ENV = f"{MODULE}:Sized"
CODE = """\
from helpers.toy_task import Corridor
class Sized(Corridor):
    def __init__(self, size: int, map_name: str = "plain"):
        self.name = f"Sized {size} {map_name}"
"""
TypeIn = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, with the task in it."""
    (tmp_path / f"{MODULE}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop(MODULE, None)


class TestGiving:
    @pytest.mark.parametrize("first", ["env", "env.size"])
    def test_the_order_is_no_matter(self, first: str) -> None:
        typed = {"env": f"env={ENV}", "env.size": "env.size=5"}
        assignments = [typed.pop(first), *typed.values()]
        config = make_config(None, assignments, {})
        assert (config.env, config.env_args) == (ENV, {"size": 5})
        assert make_config(None, ["env.size=5"], {"env": ENV}) == config

    def test_values_are_json_or_text(self) -> None:
        words = {"a": "5", "b": "8x8", "c": "[1, null]", "d": '{"e": 0.5}', "f": "none"}
        config = make_config(None, [f"env.{name}={word}" for name, word in words.items()], {})
        expected = {"a": 5, "b": "8x8", "c": [1, None], "d": {"e": 0.5}, "f": None}
        assert config.env_args == expected

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("a.toml", 'env = "m:T"\n[env_args]\nsize = 5\nmap_name = "8x8"\n'),
            ("a.toml", 'env = "m:T"\n"env.size" = 5\n"env.map_name" = "8x8"\n'),
            ("a.json", '{"env": "m:T", "env_args": {"size": 5}, "env.map_name": "8x8"}'),
        ],
    )
    def test_a_file_may_hold_them(self, tmp_path: Path, name: str, text: str) -> None:
        file = tmp_path / name
        file.write_text(text)
        config = make_config(file, [], {})
        assert (config.env, config.env_args) == ("m:T", {"size": 5, "map_name": "8x8"})
        changed = make_config(file, ["env.size=6"], {})
        assert changed.env_args == {"size": 6, "map_name": "8x8"}

    def test_some_of_them_can_be_changed(self) -> None:
        config = make_config(None, ["env.size=5", "env.map_name=a"], {"env": ENV})
        changed = with_fields(config, {"env.size": 7, "seed": 3})
        assert changed.env_args == {"size": 7, "map_name": "a"}
        assert config.env_args == {"size": 5, "map_name": "a"}

    def test_the_dotted_keys_are_those_that_were_typed(self) -> None:
        config = make_config(None, ["env.size=5", 'env.map={"a": {"b": 1}}'], {})
        fields = flat(config.model_dump(mode="json"))
        arguments = {key: value for key, value in fields.items() if key.startswith("env")}
        assert arguments == {"env": "SimpleDoorKey", "env.size": 5, "env.map": {"a": {"b": 1}}}
        assert with_fields(RunConfig(), arguments) == config

    def test_they_are_one_field_with_a_sentence(self) -> None:
        fields = {key: sentence for key, _, _, sentence in describe_fields()}
        assert "env.size=5" in fields["env.NAME"]

    @pytest.mark.parametrize(
        ("assignment", "message"),
        [
            ("env.token=sk-0123456789abcdefgh", r"^env\.token must hold no key"),
            ('env.a={"b": ["sk-0123456789abcdefgh"]}', r"^env\.a\.b must hold no key"),
            ("env.size=NaN", "no infinite number and no NaN"),
            ("env.size=[1e999]", "no infinite number and no NaN"),
            (f"env.deep={400 * '['}{400 * ']'}", r"^env\.deep: allowed .* not nested too deeply$"),
            ("env_args=5", "env_args = 5: input should be a valid dictionary"),
        ],
    )
    def test_what_cannot_be_kept_is_refused(self, assignment: str, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            make_config(None, [assignment], {})

    def test_a_date_of_toml_is_no_json(self, tmp_path: Path) -> None:
        (tmp_path / "a.toml").write_text("[env_args]\nwhen = 2020-01-01\n")
        with pytest.raises(ConfigError, match=r"^env\.when: allowed is a JSON value, not nested"):
            make_config(tmp_path / "a.toml", [], {})


@pytest.mark.usefixtures("here")
class TestRuns:
    def test_a_run_keeps_them_and_goes_on_with_them(self, tmp_path: Path) -> None:
        at_once = StopSignal()
        at_once.set()
        stopped = make_run(tmp_path, stop=at_once, env=ENV, env__size=5, env__map_name="8x8")
        assert stopped.summary.status == "interrupted"
        stored = strict_json(stopped.folder.config)
        assert (stored["env"], stored["env_args"]) == (ENV, {"size": 5, "map_name": "8x8"})
        again = resume(stopped.path)
        assert (again.status, again.env) == ("finished", "Sized 5 8x8")

    def test_they_are_shown(self, tmp_path: Path, type_in: TypeIn) -> None:
        run = make_run(tmp_path, env=ENV, env__size=5)
        lines = type_in("runs", "show", run.path).stdout.decode().splitlines()
        [row] = [line.strip("│").split("│") for line in lines if "env." in line]
        assert [cell.strip() for cell in row] == ["env.size", "5"]
        shutil.copytree(run.path, tmp_path / "copy")
        lines = type_in("runs", "show", run.path, tmp_path / "copy").stdout.decode().splitlines()
        assert [line.split() for line in lines if "env." in line] == [["env.size", "5", "5"]]
        fields = type_in("config", "show", "--config", run.folder.config, "--json").stdout
        shown = {row["field"]: row["value"] for row in json.loads(fields)}
        assert shown["env.size"] == 5
        assert not {"env_args", "env.NAME"} & set(shown)

    def test_those_of_one_task_are_not_those_of_another(self, tmp_path: Path) -> None:
        run = make_run(tmp_path, env=ENV, env__size=5)
        assert config_of(run.path).env_args == {"size": 5}
        assert config_of(run.path, env=ENV, seed=4).env_args == {"size": 5}
        other = config_of(run.path, env="helpers.toy_task:Corridor")
        assert (other.env, other.env_args) == ("helpers.toy_task:Corridor", {})

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (["--env", ENV], "missing a required argument: 'size'; it takes size, map_name"),
            (["--env", ENV, "--set", "env.sise=5"], "'sise' (did you mean 'size'?)"),
            (["--set", "env.size=5"], "SimpleDoorKey, a shipped task, takes no arguments"),
            (["--env", "Taxi-v4"], "envs new taxi.py --from Taxi-v4"),
        ],
    )
    def test_a_mistake_is_one_line(
        self, tmp_path: Path, type_in: TypeIn, words: list[str], says: str
    ) -> None:
        done = type_in("run", "--run-dir", tmp_path / "new", *words)
        assert (done.returncode, done.stdout) == (2, b"")
        assert says in done.stderr.decode()
        assert done.stderr.count(b"\n") == 1
        assert not (tmp_path / "new").exists()


class TestTasksOfPackages:
    @pytest.fixture(autouse=True)
    def installed(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A package that offers the task as `sized`."""
        info = here / "sized_tasks-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sized-tasks\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[tutelage.tasks]\nsized = {ENV}\n")
        monkeypatch.syspath_prepend(str(here))

    def test_one_is_listed_shown_and_run(self, tmp_path: Path, type_in: TypeIn) -> None:
        rows = json.loads(type_in("envs", "list", "--json").stdout)
        assert (rows[0]["name"], rows[0]["package"]) == ("SimpleDoorKey", "tutelage")
        assert (rows[-1]["name"], rows[-1]["package"]) == ("sized", "sized-tasks")
        assert f"{ENV} of sized-tasks" in type_in("envs", "list").stdout.decode()
        assert MODULE not in sys.modules
        shown = json.loads(type_in("envs", "show", "sized", "--set", "env.size=2", "--json").stdout)
        assert shown["name"] == "Sized 2 plain"
        run = make_run(tmp_path / "home", env="sized", env__size=3)
        assert run.summary.env == "Sized 3 plain"

    def test_a_run_of_it_names_code(self, tmp_path: Path) -> None:
        """As one of a dotted path does: nothing in the run's folder may be what is imported."""
        folder = tmp_path / "a_run"
        folder.mkdir()
        (folder / "evil.py").touch()
        check_imports(folder, RunConfig())
        with pytest.raises(RunFolderError, match=r"evil\.py is code"):
            check_imports(folder, RunConfig(env="sized"))
