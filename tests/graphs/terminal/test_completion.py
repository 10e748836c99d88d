"""The shell completes names: graphs, tasks, teachers, runs, prompts and fields."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers.finished_runs import finished_run
from helpers.tiny_runs import IMPORTABLE, ROOT
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
    "--version ru": ["run", "runs"],
}


def asked(words: str, shell: str = "bash") -> dict[str, str]:
    """What the shell's script asks the program with; the word under the cursor is the last one."""
    line = f"tutelage {words}"
    return {
        "_TUTELAGE_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
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


HOSTILE = [
    r"a\$(touch RAN)",
    "b$(touch RAN)",
    "c`touch RAN`",
    "d;touch RAN",
    "e'$(touch RAN)'",
    "f\"))';touch RAN;#",
    "g\ntouch RAN\n",
    "h{touch,RAN}",
    "i<(touch RAN)",
    "j!touch RAN!",
    "k*",
    "l~",
    "m%touch",
    "n(e-touch RAN-)",
    "o&touch RAN",
    "p|touch RAN",
    "q\x1b[31m",
    "r\u202egnp",
    "=touch",
]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("words", ["resume ", "resume runs/", "trace show runs/s"])
def test_only_names_without_anything_a_shell_reads_are_offered(
    here: Path, words: str, shell: str
) -> None:
    for name in HOSTILE:
        finished_run(here / "runs" / name)
        (here / name / "within").mkdir(parents=True)
    done = CliRunner().invoke(app, [], env=asked(words, shell), prog_name="tutelage")
    offered = done.stdout.removeprefix("_arguments '*: :((").removesuffix("))'\n")
    names = [line.partition("\t")[0].strip('"') for line in offered.splitlines()]
    assert names
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz/") for name in names)


SHELLS = {
    "bash": (["--norc", "-i"], 'eval "$(tutelage --show-completion bash)"'),
    "zsh": (
        ["-f", "-i"],
        'autoload -Uz compinit; compinit -u -D; eval "$(tutelage --show-completion zsh)"',
    ),
    "fish": (["--no-config", "-i"], "tutelage --show-completion fish | source"),
}


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_nothing_hidden_in_a_name_is_run(here: Path, shell: str) -> None:
    """A person presses Tab in a real shell, on a real terminal."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} here")
    for name in HOSTILE:
        (here / "runs" / name).mkdir()
    script = here / "bin" / "tutelage"
    script.parent.mkdir()
    script.write_text(
        f"#!{sys.executable}\nimport sys; sys.path[0] = {str(ROOT / '.package')!r}\n"
        "from tutelage.graphs.terminal.app import main; main()\n"
    )
    script.chmod(0o755)
    arguments, setup = SHELLS[shell]
    # `ready` is put together by the shell: the line that is typed does not hold it.
    lines = [f"{setup}; echo rea''dy\r", "tutelage resume runs/\t\t"]
    shown = type_into([program, *arguments], here, script.parent, lines, ["ready", "runs/first"])
    assert "touch" not in shown
    assert not [*here.rglob("RAN")]


def type_into(
    command: list[str], cwd: Path, programs: Path, lines: list[str], awaited: list[str]
) -> str:
    """What is on a terminal after lines were typed into a program, and for each a text was seen."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(cwd)
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        variables = {"HOME": str(cwd), "PATH": path, "TERM": "dumb", "PS1": "> "}
        os.execve(command[0], command, variables)
    try:
        for line, text in zip(lines, awaited, strict=True):
            os.write(terminal, line.encode())
            shown, deadline = "", time.monotonic() + 60
            while text not in shown:
                assert time.monotonic() < deadline, shown
                if select.select([terminal], [], [], 1.0)[0]:
                    shown += os.read(terminal, 65536).decode(errors="replace")
    finally:
        os.kill(process, 9)
        os.waitpid(process, 0)
        os.close(terminal)
    return shown
