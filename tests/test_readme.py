"""Every command and every line of Python in the README runs, in the README's own order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from helpers import finished_runs
from helpers.fresh_modules import fresh_modules
from helpers.openai_server import OpenAIServer
from helpers.tiny_runs import IMPORTABLE, ROOT
from tutelage.graphs.analysis import experiments
from tutelage.graphs.terminal.app import app

README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
LOCAL: Final = r"http://localhost:\d+/v1"
INSTALLING: Final = ("pip install", "pytest")
TINY: Final = [
    *("--steps", "64"),
    *("--num-envs", "4"),
    *("--set", "ppo.num_steps=8"),
    *("--set", "evaluation.final_episodes=2"),
]
SHORTER: Final = {
    "run": TINY,
    "eval": ["--episodes", "4"],
    "envs check": ["--episodes", "4"],
}
"""What is typed after a command, so that it takes no time; the last one counts."""


def blocks(language: str) -> list[str]:
    """The README's fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """The lines of the README's shell blocks."""
    return [line for block in blocks("bash") for line in block.splitlines() if line]


def set_environment(patch: pytest.MonkeyPatch, folder: Path, server: OpenAIServer) -> None:
    """A reader's machine: their folder, their key, their server."""
    patch.chdir(folder)
    patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    patch.setenv("VISUAL", "true")  # an editor that leaves everything as it is
    patch.setenv("OPENAI_API_KEY", "test-key-of-no-worth")
    patch.setenv("OPENAI_BASE_URL", server.base_url)
    # The runs of a comparison are made in a moment; test_comparison.py makes real ones.
    patch.setattr(experiments, "CLI", Path(finished_runs.__file__))


def prepare(folder: Path) -> None:
    """What the README says that a reader has: a folder of prompts, a task of their own."""
    (folder / "my_prompts").mkdir()
    shutil.copy(ROOT / "prompts" / "planner_system.md", folder / "my_prompts")
    (folder / "mountain_car.py").write_text(blocks("python")[0], encoding="utf-8")


def test_every_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(tmp_path)
    ran = 0
    with OpenAIServer() as server, fresh_modules():
        set_environment(monkeypatch, tmp_path, server)
        for line in commands():
            if line.startswith(INSTALLING):
                continue
            program, script, *arguments = line.split()
            assert (program, script) == ("python", "cli.py"), line
            two_words = " ".join(arguments[:2])
            arguments += SHORTER.get(two_words, SHORTER.get(arguments[0], []))
            arguments = [re.sub(LOCAL, server.base_url, argument) for argument in arguments]
            done = CliRunner().invoke(app, arguments)
            assert done.exit_code == 0, (line, done.output[-2000:], done.exception)
            assert done.output.strip(), line
            ran += 1
        assert server.requests, "the commands that name a server must have asked it"
    assert ran >= 15


@pytest.mark.parametrize("sees", ["map", "view"])
def test_the_python_of_the_readme_runs(sees: str, tmp_path: Path) -> None:
    """Also where a reader has a student of another kind."""
    task, code = blocks("python")
    (tmp_path / "mountain_car.py").write_text(task, encoding="utf-8")
    assert "steps=3000" in code
    tiny = '"steps=64", "num_envs=4", "ppo.num_steps=8", "evaluation.final_episodes=2"'
    code = (
        code.replace('"steps=3000"', f'{tiny}, "student.sees={sees}"')
        + "\nassert len(actions) == 4\n"
    )
    code += 'assert summary.status == "finished"\n'
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": IMPORTABLE, "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_continuous_checks_run_the_readmes_own_commands() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    main_job = "pip install -e . && python cli.py run --graph teacher_student"
    assert main_job in script
    assert 'pip install -e ".[test]" && pytest' in script
    shell = "\n".join(blocks("bash"))
    assert "pip install -e .\npython cli.py run --graph teacher_student" in shell
    assert 'pip install -e ".[test]" && pytest' in shell
