"""Every command's `--help` has examples that work, and `--json` where it lists or shows."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer
from typer.testing import CliRunner

from helpers import finished_runs
from helpers.openai_server import OpenAIServer
from helpers.tiny_runs import ROOT, make_run
from tutelage.graphs.analysis import experiments
from tutelage.graphs.terminal.app import app
from tutelage.graphs.terminal.common.text import NoTerminalError

TINY: Final = "--steps 64 --num-envs 4 --set ppo.num_steps=8 --set evaluation.final_episodes=2"
SHORTER: Final = {
    "run": f"--env helpers.toy_task:Corridor {TINY}",
    "eval": "--env helpers.toy_task:Corridor --episodes 4",
    "bench": "--env helpers.toy_task:Corridor --num-envs 4 --seconds 0.05 --set ppo.num_steps=8",
    "compare": "--env helpers.toy_task:Corridor --episodes 4 --seeds 0",
    "cache export": "--force",
}
"""What is typed after the examples of a command, so that they take no time; the last one counts."""

FULL_SCREEN: Final = {"trace open"}
"""Without a terminal it says so, and what there is without one."""

SNAKE_CASE: Final = re.compile(r"[a-z][a-z0-9_]*")

OTHERWISE: Final = {"path", "run_folder", "cost", "latency", "environment", "tokens_in"}
"""Names that nothing has: it is called run_dir, cost_usd, latency_s, env and prompt_tokens."""

WIDE: Final = {"COLUMNS": "300"}
"""A terminal that breaks no line of help."""

NOT_HERE: Final = {
    "python cli.py run --tensorboard --loggers wandb,mlflow": "test_loggers.py has the real ones",
}
"""Examples that are run elsewhere, and where."""

WITHOUT_JSON: Final = {"trace open", "trace export", "prompts edit"}
"""A full screen, a form of its own, and an editor."""

STREAMS: Final = {"watch", "trace follow"}
"""What they show has no end that is known: with --json each line is a document."""

NOT_OURS: Final = {
    *("observation", "nodes", "teachers", "failures", "given_up", "sources", "prompts"),
    *("differs", "student", "teacher", "tools", "messages", "answers"),
}
"""Fields whose own keys are names of things, such as of actions, or OpenAI's."""

SLOW: Final = {"bench", "compare", "envs check", "export"}
QUICK: Final = {"export": "--format safetensors"}
"""What takes long with its JSON as well, and what is added so that it does not."""


def commands(group: Any = None, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Each command of the program with the words that call it."""
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


COMMANDS: Final = dict(commands())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the examples name: runs, prompts and recorded answers of one's own."""
    folder = tmp_path_factory.mktemp("examples")
    options = {"num_envs": 4, "ppo__num_steps": 8, "steps": 96, "checkpoint_every": 1}
    options |= {"evaluation__every": 32, "evaluation__episodes": 2}
    run = make_run(folder, env="helpers.toy_task:Settled", **options)
    for name in ("my-run", "other-run"):
        shutil.copytree(run.path, folder / "runs" / name)
    (folder / "my_prompts").mkdir()
    shutil.copy(ROOT / "prompts" / "planner_system.md", folder / "my_prompts")
    (folder / "my_module.py").write_text("from helpers.toy_task import Corridor as MyTask\n")
    exported = ["cache", "export", str(folder / "answers.jsonl"), "--file", str(run.cache)]
    assert CliRunner().invoke(app, exported).exit_code == 0
    return folder


@pytest.fixture(scope="module")
def model() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


@pytest.fixture
def folder(
    made: Path, model: OpenAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A copy of it to type in, on a machine with an editor, a key and a server."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("VISUAL", "true")
    monkeypatch.setenv("OPENAI_API_KEY", "test-key-of-no-worth")
    monkeypatch.setenv("OPENAI_BASE_URL", model.base_url)
    monkeypatch.setattr(experiments, "CLI", Path(finished_runs.__file__))
    return tmp_path


def examples(help_text: str) -> list[str]:
    return re.findall(r"python cli\.py [^\n]+", help_text)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_a_command_run(name: str, folder: Path, model: OpenAIServer) -> None:
    found = examples(CliRunner().invoke(app, [*name.split(), "--help"], env=WIDE).stdout)
    assert found, f"`{name} --help` has no example"
    for line in found:
        if line in NOT_HERE:
            continue
        _, _, *arguments = shlex.split(re.sub(r"http://localhost:\d+/v1", model.base_url, line))
        assert " ".join(arguments).startswith(name)
        if name == "resume":
            (folder / "runs" / "my-run" / "summary.json").unlink()
        done = CliRunner().invoke(app, [*arguments, *shlex.split(SHORTER.get(name, ""))])
        if name in FULL_SCREEN:
            assert isinstance(done.exception, NoTerminalError), (line, done.exception)
            continue
        assert done.exit_code == 0, (line, done.output[-2000:], done.exception)
        assert done.output.strip() or name == "trace export", line


def field_names(value: Any) -> Iterator[str]:
    """Every name of a field in a JSON document, but for those in `NOT_OURS`."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            if name not in NOT_OURS:
                yield from field_names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from field_names(inner)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name in COMMANDS
        if name not in WITHOUT_JSON
    ],
)
def test_json_is_one_document_with_the_names_of_a_program(
    name: str, folder: Path, model: OpenAIServer
) -> None:
    line = examples(CliRunner().invoke(app, [*name.split(), "--help"], env=WIDE).stdout)[0]
    _, _, *arguments = shlex.split(re.sub(r"http://localhost:\d+/v1", model.base_url, line))
    if name == "resume":
        (folder / "runs" / "my-run" / "summary.json").unlink()
    shorter = f"{SHORTER.get(name, '')} {QUICK.get(name, '')}"
    typed = [*arguments, *shlex.split(shorter), "--json"]
    done = CliRunner().invoke(app, typed)
    assert done.exit_code == 0, (line, done.output[-2000:], done.exception)
    texts = done.stdout.splitlines() if name in STREAMS else [done.stdout]
    assert texts
    for text in texts:
        odd = [each for each in field_names(json.loads(text)) if not SNAKE_CASE.fullmatch(each)]
        assert odd == []
        assert not OTHERWISE & set(field_names(json.loads(text)))


def test_json_wherever_something_is_listed_or_shown() -> None:
    without = {
        name
        for name, command in COMMANDS.items()
        if not any("--json" in option.opts for option in command.params)
    }
    assert without == WITHOUT_JSON


def test_what_is_run_elsewhere_is_still_an_example() -> None:
    assert set(NOT_HERE) <= {line for c in COMMANDS.values() for line in examples(c.help or "")}
