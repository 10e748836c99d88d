"""The README and the pages of docs/: what they tell people to type runs, from top to bottom."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from helpers import finished_runs
from helpers.fresh_modules import fresh_modules
from helpers.openai_server import OpenAIServer
from helpers.tiny_runs import IMPORTABLE, ROOT
from tutelage.graphs.analysis import experiments
from tutelage.graphs.terminal.app import app

README: Final = ROOT / "README.md"
PAGES: Final = [README, *sorted((ROOT / "docs").glob("*.md"))]
LOCAL: Final = r"http://localhost:\d+/v1"
TOOLS: Final = ("pip install ", "pytest", "ruff ", "mypy", ".ci/run", "git ", "docker ")
"""Other people's commands, and all the checks together: these are not run here."""

TINY: Final = [
    *("--steps", "64"),
    *("--num-envs", "4"),
    *("--set", "ppo.num_steps=8"),
    *("--set", "evaluation.final_episodes=2"),
    *("--set", "evaluation.every=32"),
    *("--set", "evaluation.episodes=2"),
]
SHORTER: Final = {
    "run": TINY,
    "eval": ["--episodes", "4"],
    "envs check": ["--episodes", "4"],
    "prompts try": ["--limit", "5"],
}
"""What is typed after a command, so that it takes no time; the last one counts."""

ACTING: Final = ["--set", "evaluation.final_episodes=2"]
"""The same for a run in which the teacher itself acts."""

FULL_SCREEN: Final = ("trace open",)
"""What needs a terminal, and says so without one."""

NEEDS: Final = {
    "--gif": "video",
    "--mp4": "video",
    "--plot": "plots",
    ".png": "plots",
    "--tensorboard": "tensorboard",
    "--loggers": "wandb",
    "onnx": "export",
}
"""What in a command needs which extra of the project's."""

WIDTH: Final = 100
EXECUTED_ELSEWHERE: Final = {
    "export.md": "tests/graphs/analysis/test_exporting.py",
    "teachers.md": "one method of a class; tests/rl/tasks has whole ones",
}
"""Pages whose Python needs what the page does not make."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page. file: the name under which the page has its reader save it."""

    language: str
    text: str
    file: str | None = None

    def lines(self) -> list[str]:
        """The commands of a shell block; those that go on in the next line are put together."""
        return [line for line in self.text.replace("\\\n", " ").splitlines() if line]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order. One under a line that ends in "`NAME`:" is a file."""
    found = re.finditer(
        r"(?:`(?P<file>[\w/]+\.py)`:\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
        page.read_text("utf-8"),
        flags=re.MULTILINE | re.DOTALL,
    )
    return [Block(each["language"], each["text"], each["file"]) for each in found]


def commands(page: Path) -> list[str]:
    """The lines of a page's shell blocks."""
    return [line for block in blocks(page) if block.language == "bash" for line in block.lines()]


def is_ours(line: str) -> bool:
    """Whether a line of a shell is a command of this project."""
    return line.startswith("python cli.py ")


def each_page(pages: list[Path], slow: Collection[str] = ()) -> pytest.MarkDecorator:
    """A test of each of these pages. slow: the names of those for which it takes its time."""
    marked = [
        pytest.param(page, id=page.name, marks=[pytest.mark.slow] if page.name in slow else [])
        for page in pages
    ]
    return pytest.mark.parametrize("page", marked)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    """A reader's machine: their key, their server, their cache, their editor."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("VISUAL", "true")  # an editor that leaves everything as it is
    monkeypatch.setenv("OPENAI_API_KEY", "test-key-of-no-worth")
    # The runs of a comparison are made in a moment; test_comparison.py makes real ones.
    monkeypatch.setattr(experiments, "CLI", Path(finished_runs.__file__))
    with OpenAIServer() as started:
        monkeypatch.setenv("OPENAI_BASE_URL", started.base_url)
        yield started


def checkout(folder: Path) -> Path:
    """A fresh checkout, as far as what is typed in it reads its files."""
    folder.mkdir()
    shutil.copytree(ROOT / "docs" / "examples", folder / "docs" / "examples")
    return folder


def type_in(line: str, server: OpenAIServer) -> None:
    """Do what a line of a page says; it must succeed and print something."""
    _, _, *arguments = shlex.split(line)
    two_words = " ".join(arguments[:2])
    shorter = SHORTER.get(two_words, SHORTER.get(arguments[0], []))
    arguments += ACTING if "teacher_only" in arguments else shorter
    arguments = [re.sub(LOCAL, server.base_url, argument) for argument in arguments]
    done = CliRunner().invoke(app, arguments)
    if two_words in FULL_SCREEN:
        assert isinstance(done.exception, Exception)
        assert "needs a terminal" in str(done.exception), line
        return
    assert done.exit_code == 0, (line, done.output[-2000:], done.exception)
    assert done.output.strip(), line


def follow(page: Path, server: OpenAIServer) -> None:
    """Type a page from its top to its end, in the working directory. Saves its files, too."""
    for block in blocks(page):
        if block.file is not None:
            Path(block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "bash":
            for line in block.lines():
                if line.startswith("cp "):
                    subprocess.run(shlex.split(line), check=True)
                elif not line.startswith(TOOLS):
                    type_in(line, server)


@each_page(
    [page for page in PAGES if commands(page)],
    slow={"environments.md", "export.md", "providers.md", "results.md"},
)
def test_a_page_runs_from_top_to_bottom(
    page: Path, tmp_path: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page for itself, in a fresh checkout and with an empty cache."""
    monkeypatch.chdir(checkout(tmp_path / "checkout"))
    with fresh_modules():
        follow(page, server)
    asks = any("openai:" in line for line in commands(page))
    assert bool(server.requests) == asks


@each_page([README, ROOT / "docs" / "traces.md"], slow={"README.md"})
def test_a_page_runs_with_a_full_cache(
    page: Path, tmp_path: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that a trace shows is there, too, where the plan cache has answered."""
    monkeypatch.chdir(checkout(tmp_path / "filling"))
    for line in commands(page):
        if line.startswith("python cli.py run "):
            type_in(line, server)
    asked = len(server.requests)
    monkeypatch.chdir(checkout(tmp_path / "checkout"))
    with fresh_modules():
        follow(page, server)
    assert len(server.requests) == asked


def test_every_page_is_read() -> None:
    assert len(PAGES) >= 12
    assert sum(len(commands(page)) for page in PAGES) >= 60
    assert len(commands(README)) >= 12


def test_the_readme_is_short() -> None:
    assert 150 <= len(README.read_text("utf-8").splitlines()) <= 200


@each_page(PAGES)
def test_what_is_typed_is_known_and_not_too_wide(page: Path) -> None:
    for line in commands(page):
        assert is_ours(line) or line.startswith((*TOOLS, "cp ")), line
    for block in blocks(page):
        wide = [line for line in block.text.splitlines() if len(line) > WIDTH]
        assert wide == []


@each_page(PAGES)
def test_what_needs_an_extra_stands_below_its_installation(page: Path) -> None:
    extras: set[str] = set()
    for line in commands(page):
        extras |= {name for names in re.findall(r"\[([\w,]+)\]", line) for name in names.split(",")}
        needed = {extra for sign, extra in NEEDS.items() if is_ours(line) and sign in line}
        if line.startswith("python cli.py export") and "--format" not in line:
            needed.add("export")  # ONNX is the default
        assert needed <= extras, line
    known = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert extras <= set(known["optional-dependencies"])


@each_page(PAGES)
def test_the_commands_in_its_sentences_are_there(page: Path) -> None:
    """Command and options of what a page writes between backquotes, as `python cli.py bench`."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for quoted in re.findall(r"`(?:python cli\.py|tutelage) ([^`]+)`", text):
        words = shlex.split(" ".join(quoted.split()))
        command = get_command(app)
        while words and hasattr(command, "commands"):
            if words[0].startswith("-"):
                break
            assert words[0] in command.commands, quoted
            command = command.commands[words.pop(0)]
        known = {name for each in command.params for name in [*each.opts, *each.secondary_opts]}
        assert {word for word in words if word.startswith("--")} <= known, quoted


@each_page(PAGES)
def test_its_links_and_anchors_are_there(page: Path) -> None:
    text = page.read_text("utf-8")
    for target, _, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(#([\w-]+))?\)", text):
        linked = (page.parent / target) if target else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), (target, anchor)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@each_page([page for page in PAGES if page.name not in EXECUTED_ELSEWHERE])
def test_its_python_is_a_file_or_runs(page: Path) -> None:
    """What is to be saved is run by the page's commands; of the rest only the README has some."""
    loose = [b for b in blocks(page) if b.language in {"python", "py"} and b.file is None]
    assert len(loose) == (1 if page == README else 0)
    for block in blocks(page):
        if block.language in {"python", "py"}:
            ast.parse(block.text)


@pytest.mark.parametrize("sees", ["map", "view"])
def test_the_python_of_the_readme_runs(sees: str, tmp_path: Path) -> None:
    """Also where a reader has a student of another kind."""
    (code,) = (block.text for block in blocks(README) if block.language == "python")
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
    shell = "\n".join(commands(README))
    assert "pip install -e .\npython cli.py run --graph teacher_student" in shell
    assert 'pip install -e ".[test]" && pytest' in shell
