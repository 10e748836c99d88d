"""The shell completes names: graphs, tasks, teachers, runs, prompts and fields."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers.finished_runs import finished_run
from helpers.tiny_runs import IMPORTABLE
from tutelage.graphs.terminal.app import app

OFFERED = {
    "run --graph teacher_s": ["teacher_student"],
    "run --env Lav": ["LavaDoorKey"],
    "envs show Lav": ["LavaDoorKey"],
    "graphs show h": ["hierarchical"],
    "run --provider open": ["openai:", "openrouter:"],
    "providers check off": ["offline"],
    "run --provider f": ["faulty:", "forgetful:"],
    "run --provider w": ["weak"],
    "run --set ppo.gam": ["ppo.gamma="],
    "run --set env": ["env=", "env."],
    "config show --set weaning.sch": ["weaning.schedule="],
    "prompts show planner_ex": ["planner_examples"],
    "prompts diff planner_th": ["planner_thinking"],
    "resume ": ["runs/", "runs/first", "runs/second"],
    "resume @": ["@last"],
    "trace show ru": ["runs/", "runs/first", "runs/second"],
    "runs compare runs/first runs/s": ["runs/second"],
    "watch nowhere/": [],
}


def asked(words: str, shell: str = "bash") -> dict[str, str]:
    """What the shell's script asks the program with; the word under the cursor is the last one."""
    line = f"tutelage {words}"
    return {
        "_TUTELAGE_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
        "_TYPER_COMPLETE_ARGS": line,
    }


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        finished_run(tmp_path / "runs" / name)
    return tmp_path


@pytest.mark.parametrize("words", OFFERED)
def test_a_word_half_typed_is_completed(words: str) -> None:
    done = CliRunner().invoke(app, [], env=asked(words), prog_name="tutelage")
    assert [line.split(",")[-1] for line in done.stdout.split()] == OFFERED[words]


def test_it_is_quick_for_it_imports_nothing_heavy(here: Path) -> None:
    code = (
        "import sys; sys.argv = ['tutelage']\n"
        "from tutelage.graphs.terminal.app import main\n"
        "heavy = {'torch', 'langgraph', 'numba', 'gymnasium', 'minigrid'}\n"
        "try: main()\n"
        "finally: print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    for words in ("run --env Lav", "run --set ppo.gam", "run --provider open", "resume "):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=here,
            env={**os.environ, "PYTHONPATH": IMPORTABLE, **asked(words)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout.split(), (words, done.stderr)
        assert done.stderr.strip() == "[]", words
