"""The command line: what it prints, what it refuses, how it stops.

Most of it runs in a process of its own. What differs only in its arguments runs in this one, which
has the heavy imports behind it.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event as StopSignal
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from helpers.tiny_runs import (
    CLI,
    NEVER,
    ROLLOUT,
    cli,
    environment,
    make_run,
    start_cli,
    strict_json,
    tiny_arguments,
    wait_for,
)
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.terminal.app import app
from tutelage.prompts.library import SHIPPED

HEAVY = {"gymnasium", "langchain", "langchain_core", "langgraph", "minigrid", "numba", "torch"}
ESCAPE = b"\x1b"

Done = subprocess.CompletedProcess[bytes]


@dataclass(frozen=True)
class Base:
    """A tiny run that the command line made. cache: its plan cache."""

    folder: Path
    done: Done

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder / "run"

    @property
    def cache(self) -> Path:
        """The plan cache's file."""
        return self.folder / "plans.sqlite"


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """`run --json`, shared by all that look at a run."""
    folder = tmp_path_factory.mktemp("base")
    return Base(folder, cli("run", *tiny_arguments(folder), "--json"))


TypeIn = Callable[..., Done]


def filled(arguments: str, base: Base) -> list[str]:
    """A command in which RUN, RUNS and CACHE stand for the base run's places."""
    places = {"RUN": base.path, "RUNS": base.folder, "CACHE": base.cache}
    return [str(places.get(word, word)) for word in arguments.split()]


class TestRun:
    def test_json_is_the_summary_alone_and_progress_goes_elsewhere(self, base: Base) -> None:
        assert base.done.returncode == 0
        said = json.loads(base.done.stdout)
        assert said.pop("run_dir") == str(base.path)
        assert said == strict_json(base.path / "summary.json")
        assert said["status"] == "finished"
        assert said["env_steps"] == 3 * ROLLOUT
        assert said["time"]["import_s"] > 0

    def test_without_a_terminal_progress_is_plain_lines(self, base: Base) -> None:
        assert ESCAPE not in base.done.stdout + base.done.stderr
        assert b"\r" not in base.done.stderr
        lines = base.done.stderr.decode().splitlines()
        begun = lines.index("teacher_student · SimpleDoorKey · teacher offline")
        assert str(base.path) in lines[begun + 1]
        assert all(line.startswith("setting up: ") for line in lines[:begun])
        assert any(line.startswith(f"steps {ROLLOUT}/{3 * ROLLOUT}") for line in lines)
        assert sum(line.startswith("steps ") for line in lines) < 4


class TestResume:
    def test_it_finishes_what_was_stopped(self, type_in: TypeIn, tmp_path: Path) -> None:
        at_once = StopSignal()
        at_once.set()
        stopped = make_run(tmp_path, stop=at_once)
        assert stopped.summary.status == "interrupted"
        done = type_in("resume", stopped.path, "--json")
        assert done.returncode == 0
        assert json.loads(done.stdout)["status"] == "finished"
        assert strict_json(stopped.folder.summary)["env_steps"] == 3 * ROLLOUT


LISTINGS = [
    *("trace list RUN", "trace show RUN 1", "prompts list", "prompts show planner_system"),
    *("prompts show planner_system --run RUN", "prompts try --limit 5"),
    *("prompts render --env ColoredDoorKey", "graphs list", "graphs show teacher_student"),
    *("envs list", "envs show LavaDoorKey", "providers list", "runs list RUNS", "runs show RUN"),
    *("config show --set ppo.gamma=0.9", "cache show --file CACHE"),
]


class TestListings:
    @pytest.mark.parametrize("arguments", LISTINGS)
    def test_json_parses(self, arguments: str, base: Base) -> None:
        done = cli(*filled(arguments, base), "--json")
        assert (done.returncode, done.stderr) == (0, b"")
        assert json.loads(done.stdout)
        assert ESCAPE not in done.stdout

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ("trace list RUN", "red key"),
            ("trace show RUN 1", "mission"),
            ("prompts list", "planner_situation"),
            ("prompts show planner_situation", "```situation"),
            ("prompts check", "no problem"),
            ("prompts render", "```situation"),
            ("graphs list", "teacher_student"),
            ("graphs show teacher_student", "planner"),
            ("envs list", "DivergentDoorKey"),
            ("envs show SimpleDoorKey", "options on offer"),
            ("providers list", "OPENAI_API_KEY"),
            ("runs list RUNS", "finished"),
            ("runs show RUN", "student alone"),
            ("config show", "ppo.gamma"),
            ("cache show --file CACHE", "offline"),
        ],
    )
    def test_people_get_tables(
        self, arguments: str, expected: str, base: Base, type_in: TypeIn
    ) -> None:
        done = type_in(*filled(arguments, base))
        assert (done.returncode, done.stderr) == (0, b"")
        assert expected in done.stdout.decode()
        assert ESCAPE not in done.stdout

    def test_the_rows_are_those_of_the_run(self, base: Base, type_in: TypeIn) -> None:
        row = json.loads(type_in("runs", "list", base.folder, "--json").stdout)[0]
        assert (row["run_dir"], row["status"]) == (str(base.path), "finished")
        fields = json.loads(type_in("config", "show", "--set", "ppo.gamma=0.9", "--json").stdout)
        assert {f["field"]: f["value"] for f in fields}["ppo.gamma"] == 0.9
        assert all(field["description"] for field in fields)

    def test_a_signature_names_a_situation_as_its_id_does(
        self, base: Base, type_in: TypeIn
    ) -> None:
        rows = json.loads(type_in("trace", "list", base.path, "--json").stdout)
        last = rows[-1]
        by_id, by_signature = (
            json.loads(type_in("trace", "show", base.path, str(key), "--json").stdout)
            for key in (last["id"], last["situation_id"])
        )
        assert by_id == by_signature
        assert by_id["text"] == last["text"]

    def test_a_folder_without_runs_says_what_to_type(self, tmp_path: Path, type_in: TypeIn) -> None:
        done = type_in("runs", "list", tmp_path)
        assert done.returncode == 0
        assert b"cli.py run" in done.stdout
        assert json.loads(type_in("runs", "list", tmp_path, "--json").stdout) == []

    def test_an_emptied_cache_is_empty(self, base: Base, tmp_path: Path, type_in: TypeIn) -> None:
        copy = tmp_path / "plans.sqlite"
        copy.write_bytes(base.cache.read_bytes())
        answers = json.loads(type_in("cache", "show", "--file", copy, "--json").stdout)["entries"]
        done = type_in("cache", "clear", "--yes", "--file", copy)
        assert done.returncode == 0
        assert str(answers[0]["answers"]) in done.stdout.decode()
        assert (
            json.loads(type_in("cache", "show", "--file", copy, "--json").stdout)["entries"] == []
        )

    def test_an_unconfirmed_clearing_clears_nothing(self, base: Base) -> None:
        before = base.cache.read_bytes()
        assert cli("cache", "clear", "--file", base.cache).returncode != 0
        assert base.cache.read_bytes() == before


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command and every group of commands."""
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


COMMANDS = list(commands(typer.main.get_command(app)))
NOUNS = {path[:-1] for path in COMMANDS if path}


class TestHelp:
    def test_the_walk_finds_the_commands(self) -> None:
        found = {" ".join(path) for path in COMMANDS}
        assert {"run", "trace list", "trace show", "prompts check", "cache clear"} <= found

    @pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(path) or "all")
    def test_every_command_has_help_with_an_example(self, path: tuple[str, ...]) -> None:
        result = CliRunner().invoke(app, [*path, "--help"])
        assert result.exit_code == 0
        if path not in NOUNS - {()}:
            assert re.search(r"Examples?:\s+python cli\.py", result.output)

    def test_every_option_is_explained(self) -> None:
        for path in COMMANDS:
            command: Any = typer.main.get_command(app)
            for word in path:
                command = command.commands[word]
            unexplained = [p.name for p in command.params if not getattr(p, "help", "explained")]
            assert not unexplained, f"{path}: {unexplained}"

    def test_it_imports_nothing_heavy(self) -> None:
        done = subprocess.run(
            [sys.executable, "-X", "importtime", str(CLI), "--help"],
            capture_output=True,
            check=True,
            env=environment({}),
        )
        assert b"Usage" in done.stdout
        lines = done.stderr.decode().splitlines()
        imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
        assert "typer" in imported
        assert not imported & HEAVY


@dataclass(frozen=True)
class Refusal:
    """A command that cannot be carried out. says: what its one line names."""

    arguments: str
    says: str


RUN = "run --run-dir HOME/new"
REFUSALS = {
    "graph": Refusal(f"{RUN} --graph nope", "'nope'.*teacher_student"),
    "env": Refusal(f"{RUN} --env SimpleDorKey", "'SimpleDorKey'.*mean 'SimpleDoorKey'"),
    "env-no-module": Refusal(f"{RUN} --env nope:make", "'nope:make'"),
    "env-empty-module": Refusal(f"{RUN} --env :make", "':make'"),
    "env-no-attribute": Refusal(f"{RUN} --env math:make", "'math:make'"),
    "env-no-task": Refusal(f"{RUN} --env builtins:dict", "'builtins:dict'.*of Python's own"),
    "provider": Refusal(f"{RUN} --provider nope", "'nope'.*offline"),
    "provider-model": Refusal(f"{RUN} --provider nope:model", "'nope:model'.*offline"),
    "key": Refusal(f"{RUN} --provider openai:test-model", "OPENAI_API_KEY"),
    "base-url": Refusal(f"{RUN} --provider openai:m --base-url localhost", "'localhost'.*http://"),
    "field": Refusal(f"{RUN} --set ppo.gama=0.9", r"ppo\.gama \(did you mean 'ppo\.gamma'\?\)$"),
    "field-inside": Refusal(f"{RUN} --set seed.x=1", r"seed"),
    "assignment": Refusal(f"{RUN} --set ppo.gamma", "'ppo.gamma'.*key=value"),
    "range": Refusal(f"{RUN} --set ppo.gamma=1.5", r"ppo\.gamma.*1\.5.*1"),
    "range-option": Refusal(f"{RUN} --num-envs 0", r"num_envs.*0.*1"),
    "kind": Refusal(f"{RUN} --steps 100 --set num_envs=many", "num_envs.*'many'"),
    "choice": Refusal(f"{RUN} --device tpu", "device.*'tpu'.*cpu"),
    "price": Refusal(f"{RUN} --set teacher.usd_per_million_prompt_tokens=1", "go together"),
    "not-empty": Refusal("run --run-dir PLACE/full", r"full.*not empty.*resume"),
    "in-the-way": Refusal("run --run-dir PLACE/file/new", "file/new"),
    "file-for-folder": Refusal("run --run-dir PLACE/file", "file"),
    "url-with-a-secret": Refusal(f"{RUN} --base-url http://me:hunter22@host/v1", "base_url"),
    "cache": Refusal(f"{RUN} --set cache=PLACE/full", "full"),
    "prompts": Refusal(f"{RUN} --prompts PLACE/prompts", r"planner_system\.md"),
    "no-prompts": Refusal(f"{RUN} --prompts PLACE/nowhere", "nowhere"),
    "config-missing": Refusal(f"{RUN} --config PLACE/nowhere.toml", r"nowhere\.toml"),
    "config-invalid": Refusal(f"{RUN} --config PLACE/broken.toml", r"broken\.toml"),
    "config-field": Refusal(f"{RUN} --config PLACE/unknown.toml", "gama"),
    "config-list": Refusal(f"{RUN} --config PLACE/list.json", r"list\.json"),
    "trace-id": Refusal("trace show RUN 999999", "999999.*1 to"),
    "trace-no-run": Refusal("trace list PLACE", "no config.json"),
    "trace-nowhere": Refusal("trace list PLACE/nowhere", "nowhere"),
    "runs-show": Refusal("runs show PLACE", "not a run folder"),
    "resume-finished": Refusal("resume RUN", "finished"),
    "prompts-show": Refusal("prompts show nope", "'nope'.*planner_system"),
    "graphs-show": Refusal("graphs show nope", "'nope'.*teacher_student"),
    "envs-show": Refusal("envs show Nope", "'Nope'.*envs list"),
    "cache-show": Refusal("cache show --file PLACE/full", "full"),
}


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of things that cannot be used."""
    folder = tmp_path_factory.mktemp("refused")
    (folder / "full").mkdir()
    (folder / "full" / "precious.txt").write_text("mine")
    (folder / "file").write_text("in the way")
    (folder / "broken.toml").write_text("seed = = 1\n")
    (folder / "unknown.toml").write_text("[ppo]\ngama = 0.9\n")
    (folder / "list.json").write_text("[1, 2]")
    (folder / "prompts").mkdir()
    text = (SHIPPED / "planner_system.md").read_text()
    (folder / "prompts" / "planner_system.md").write_text(f"{text}\n{{{{ nonsense }}}}\n")
    return folder


def words(name: str, base: Base, place: Path, home: Path) -> list[str]:
    """A refusal's command. home: where it would make its run folder."""
    spoken = filled(REFUSALS[name].arguments, base)
    return [word.replace("PLACE", str(place)).replace("HOME", str(home)) for word in spoken]


def check_refusal(done: Done, name: str) -> None:
    """Exit code 2, and one line that names what is wrong."""
    complaint = done.stderr.decode()
    assert done.returncode == 2
    assert done.stdout == b""
    assert complaint.startswith("tutelage: ")
    assert complaint.count("\n") == 1
    assert complaint.endswith("\n")
    assert re.search(REFUSALS[name].says, complaint)


class TestRefusals:
    @pytest.mark.parametrize("name", REFUSALS)
    def test_a_mistake_is_one_line(
        self, name: str, type_in: TypeIn, base: Base, place: Path, tmp_path: Path
    ) -> None:
        check_refusal(type_in(*words(name, base, place, tmp_path)), name)
        assert not (tmp_path / "new").exists()
        assert (place / "full" / "precious.txt").read_text() == "mine"

    @pytest.mark.parametrize("name", ["env", "key", "field", "trace-no-run"])
    def test_so_it_is_in_a_process_of_its_own(
        self, name: str, base: Base, place: Path, tmp_path: Path
    ) -> None:
        check_refusal(cli(*words(name, base, place, tmp_path)), name)

    def test_no_cuda_is_one_line(self, tmp_path: Path, type_in: TypeIn) -> None:
        import torch  # here and not above: listing the tests needs none

        if torch.cuda.is_available():
            pytest.skip("there is a CUDA device here")
        done = type_in("run", "--device", "cuda", "--run-dir", tmp_path / "new")
        assert done.returncode == 2
        assert re.fullmatch(r"tutelage: .*cuda.*cpu\n", done.stderr.decode())
        assert not (tmp_path / "new").exists()

    def test_a_broken_prompt_is_named_with_its_line(self, place: Path, type_in: TypeIn) -> None:
        done = type_in("prompts", "check", "--prompts", place / "prompts")
        assert done.returncode == 2
        assert re.search(r"planner_system\.md:\d+", done.stdout.decode())
        assert b"Traceback" not in done.stderr

    def test_other_packages_may_have_the_names_of_our_folders(self, tmp_path: Path) -> None:
        for name in ("agents", "graphs", "prompts", "rl"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "__init__.py").write_text("print('the wrong one was run')\n")
        done = cli("graphs", "list", cwd=tmp_path, variables={"PYTHONPATH": str(tmp_path)})
        assert done.returncode == 0, done.stderr
        assert b"teacher_student" in done.stdout
        assert b"wrong" not in done.stdout


@dataclass(frozen=True)
class Stopped:
    """A run that a signal ended."""

    folder: RunFolder
    code: int
    stdout: bytes
    stderr: bytes


@pytest.fixture(scope="session")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Stopped]:
    """Two long runs side by side, one ended by Ctrl-C and one by SIGTERM, in the midst of it.

    In their own working folders, with the run folder and the cache that they choose themselves.
    """
    processes = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        home = tmp_path_factory.mktemp(number.name)
        long = ["--steps", "10000000", "--num-envs", "8", "--set", f"evaluation.every={NEVER}"]
        processes[number] = (
            home,
            start_cli("run", *long, cwd=home, variables={"XDG_CACHE_HOME": str(home / "cache")}),
        )
    try:
        return {number: stop(number, *started) for number, started in processes.items()}
    finally:
        for _, process in processes.values():
            process.kill()


def stop(number: int, home: Path, process: subprocess.Popen[bytes]) -> Stopped:
    wait_for(lambda: any(p.stat().st_size for p in home.glob("runs/*/metrics.jsonl")), process)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    [path] = home.glob("runs/*")
    return Stopped(RunFolder.open(path), process.returncode, stdout, stderr)


class TestSignals:
    @pytest.mark.parametrize(
        ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
    )
    def test_a_signal_ends_a_run_in_good_order(
        self, number: int, code: int, stopped: dict[int, Stopped]
    ) -> None:
        run = stopped[number]
        assert run.code == code
        assert b"Traceback" not in run.stderr
        assert f"{signal.Signals(number).name}: stopping".encode() in run.stderr
        summary = run.folder.read_summary()
        assert summary is not None
        assert summary.status == "interrupted"
        assert summary.student is None
        rows = run.folder.read_metrics()
        assert summary.env_steps == rows[-1].env_steps
        assert [row.iteration for row in rows] == list(range(1, len(rows) + 1))

    def test_its_student_can_be_used(self, stopped: dict[int, Stopped]) -> None:
        from tutelage.rl.policy.policy import load_student  # here and not above: it imports torch

        for run in stopped.values():
            assert load_student(run.folder.path).spec.task == "SimpleDoorKey"

    def test_it_says_what_it_does_and_what_to_type_next(self, stopped: dict[int, Stopped]) -> None:
        run = stopped[signal.SIGINT]
        assert b"interrupted" in run.stdout
        assert b"python cli.py resume" in run.stdout
        assert b"stopping" not in run.stdout
        assert ESCAPE not in run.stdout + run.stderr

    def test_a_run_names_its_own_folder_and_uses_the_users_cache(
        self, stopped: dict[int, Stopped]
    ) -> None:
        for run in stopped.values():
            path = run.folder.path
            assert re.fullmatch(r"\d{8}-\d{6}-teacher_student-SimpleDoorKey-0", path.name)
            assert list((path.parent.parent / "cache").rglob("plans.sqlite"))
