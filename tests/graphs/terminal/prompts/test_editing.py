"""People's own prompts: edited, layered, compared with the shipped ones, recorded by every run."""

from __future__ import annotations

import json
import os
import pty
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from helpers.tiny_runs import CLI, environment, make_run, tiny_config
from tutelage.agents.store.plan_cache import PlanCache
from tutelage.graphs.runtime.run import resume
from tutelage.prompts.library import SHIPPED, PromptLibrary, find_library, own_folder
from tutelage.prompts.slots import SLOTS
from tutelage.prompts.template import PromptError

NAME = "planner_examples"
SHIPPED_TEXT = (SHIPPED / f"{NAME}.md").read_text("utf-8")
TypeIn = Callable[..., CompletedProcess[bytes]]


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration folder of one's own, in which there are no prompts yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for variable in ("VISUAL", "EDITOR"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "config" / "tutelage" / "prompts"


@pytest.fixture
def set_editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make EDITOR a real program that does one thing after the other, a call each.

    A step is Python that changes `text`, what is in the file; `sys.exit(3)` fails, say.
    """

    def set_editor(*steps: str, variable: str = "EDITOR") -> None:
        script = tmp_path / "my editor.py"
        calls = tmp_path / "calls"
        calls.write_text("0")
        script.write_text(
            "import pathlib, sys\n"
            f"calls = pathlib.Path({str(calls)!r})\n"
            "turn = int(calls.read_text())\n"
            "calls.write_text(str(turn + 1))\n"
            "file = pathlib.Path(sys.argv[-1])\n"
            "text = file.read_text('utf-8')\n"
            + "".join(f"if turn == {i}:\n    {step}\n" for i, step in enumerate(steps))
            + "file.write_text(text, 'utf-8')\n"
        )
        monkeypatch.setenv(variable, shlex.join([sys.executable, str(script)]))

    return set_editor


ADD, BREAK, MEND = "text += 'Mind the gap.\\n'", "text += '{{ oops'", "text = text[:-7]"


def edit(*words: str | Path, answers: str = "") -> tuple[int, str]:
    """`prompts edit` in a process of its own, with answers typed in; (exit code, all output)."""
    done = subprocess.run(
        [sys.executable, str(CLI), "prompts", "edit", *map(str, words)],
        input=answers.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment({"COLUMNS": "300"}),
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout.decode()


# --- edit


def test_an_edit_becomes_ones_own_version(own: Path, set_editor: Callable[..., None]) -> None:
    set_editor(ADD)
    code, out = edit(NAME)
    assert code == 0, out
    assert (own / f"{NAME}.md").read_text("utf-8") == SHIPPED_TEXT + "Mind the gap.\n"
    assert str(own / f"{NAME}.md") in out
    assert [path.name for path in own.iterdir()] == [f"{NAME}.md"]
    assert find_library(None).get(NAME).text.endswith("Mind the gap.\n")
    assert (SHIPPED / f"{NAME}.md").read_text("utf-8") == SHIPPED_TEXT


def test_what_is_wrong_is_shown_and_can_be_mended(
    own: Path, set_editor: Callable[..., None]
) -> None:
    set_editor(f"{ADD}; {BREAK}", MEND)
    code, out = edit(NAME, answers="y\n")
    assert code == 0, out
    assert "'{{' must begin a variable" in out
    assert "Edit again?" in out
    assert (own / f"{NAME}.md").read_text("utf-8") == SHIPPED_TEXT + "Mind the gap.\n"


@pytest.mark.parametrize("answers", ["n\n", ""])
def test_what_is_given_up_is_kept_and_gone_on_with(
    own: Path, set_editor: Callable[..., None], answers: str
) -> None:
    set_editor(f"{ADD}; {BREAK}")
    code, out = edit(NAME, answers=answers)
    draft = own / f".{NAME}.draft.md"
    assert code == 2
    assert f"your text is kept in {draft}" in out
    assert draft.read_text("utf-8") == SHIPPED_TEXT + "Mind the gap.\n{{ oops"
    assert not (own / f"{NAME}.md").exists()
    assert find_library(None).check() == []
    set_editor(MEND)
    code, out = edit(NAME)
    assert code == 0, out
    assert "going on with the draft of last time" in out
    assert not draft.exists()
    assert (own / f"{NAME}.md").read_text("utf-8") == SHIPPED_TEXT + "Mind the gap.\n"


def test_an_editor_that_fails_loses_nothing(own: Path, set_editor: Callable[..., None]) -> None:
    (own).mkdir(parents=True)
    (own / f"{NAME}.md").write_text(SHIPPED_TEXT + "Mine.\n")
    set_editor(f"{ADD}; file.write_text(text); sys.exit(3)")
    code, out = edit(NAME)
    assert code == 2
    assert "ended with 3; your text is kept in" in out
    assert (own / f"{NAME}.md").read_text() == SHIPPED_TEXT + "Mine.\n"
    assert (own / f".{NAME}.draft.md").read_text().endswith("Mine.\nMind the gap.\n")


def test_nothing_changed_leaves_nothing(own: Path, set_editor: Callable[..., None]) -> None:
    set_editor("pass")
    code, out = edit(NAME)
    assert (code, list(own.iterdir())) == (0, [])
    assert "nothing changed" in out


def test_back_to_what_is_shipped_is_no_version_of_ones_own(
    own: Path, set_editor: Callable[..., None]
) -> None:
    set_editor(ADD, "text = text.replace('Mind the gap.\\n', '')")
    assert edit(NAME)[0] == 0
    code, out = edit(NAME)
    assert (code, list(own.iterdir())) == (0, [])
    assert "as shipped again" in out


def test_a_folder_can_be_named_and_visual_comes_first(
    own: Path, tmp_path: Path, set_editor: Callable[..., None]
) -> None:
    set_editor(ADD, variable="VISUAL")
    os.environ["EDITOR"] = "false"
    try:
        code, out = edit(NAME, "--prompts", tmp_path / "new" / "mine")
    finally:
        del os.environ["EDITOR"]
    assert code == 0, out
    assert (tmp_path / "new" / "mine" / f"{NAME}.md").is_file()
    assert not own.exists()


def test_it_works_at_a_terminal(own: Path, set_editor: Callable[..., None]) -> None:
    """In a pseudo-terminal, as people use it: the question is asked there and answered there."""
    set_editor(f"{ADD}; {BREAK}", MEND)
    child, terminal = pty.fork()
    if child == 0:
        command = [sys.executable, str(CLI), "prompts", "edit", NAME]
        os.execve(sys.executable, command, environment({"COLUMNS": "200"}))
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # how Linux says that nobody is at the other end any more
            break
        shown += piece
        if shown.endswith(b"Edit again? [Y/n]: "):
            os.write(terminal, b"\n")
        if not piece:
            break
    _, ended = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(ended) == 0, shown
    assert (own / f"{NAME}.md").is_file()


@pytest.mark.parametrize(
    ("editor", "words", "problem"),
    [
        ("/nowhere/vi", [NAME], "editor '/nowhere/vi' cannot be started"),
        ("'", [NAME], "is no command"),
        ("true", ["nope"], "prompt 'nope' is not known; allowed: planner_system"),
        ("true", [NAME, "--prompts", "shipped"], "the shipped templates stay as they are"),
        ("true", [NAME, "--prompts", str(CLI)], "cli.py"),
    ],
)
def test_what_cannot_be_edited_is_told_in_a_line(
    type_in: TypeIn,
    monkeypatch: pytest.MonkeyPatch,
    editor: str,
    words: list[str],
    problem: str,
) -> None:
    monkeypatch.setenv("EDITOR", editor)
    done = type_in("prompts", "edit", *words)
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert problem in line


def test_without_an_editor_it_says_what_to_set(
    type_in: TypeIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = type_in("prompts", "edit", NAME)
    assert done.returncode == 2
    assert "set the environment variable VISUAL or EDITOR" in done.stderr.decode()


# --- layers and diff


def test_ones_own_folder_counts_unless_another_is_named(own: Path, tmp_path: Path) -> None:
    assert own_folder() == own
    assert find_library(None).sources() == PromptLibrary().sources()
    own.mkdir(parents=True)
    (own / f"{NAME}.md").write_text(SHIPPED_TEXT + "Mine.\n")
    assert find_library(None).sources()[NAME] == own / f"{NAME}.md"
    assert find_library(Path("shipped")).sources() == PromptLibrary().sources()
    (tmp_path / "other").mkdir()
    assert find_library(tmp_path / "other").sources() == PromptLibrary().sources()
    with pytest.raises(PromptError, match="not a readable folder"):
        find_library(tmp_path / "nowhere")


def test_diff_shows_what_a_folder_changes(type_in: TypeIn, own: Path) -> None:
    done = type_in("prompts", "diff")
    assert (done.returncode, "no template differs" in done.stdout.decode()) == (0, True)
    own.mkdir(parents=True)
    text = SHIPPED_TEXT.replace("## Examples", "## Some examples")
    (own / f"{NAME}.md").write_text(text + "\x1b[31mred\n")
    done = type_in("prompts", "diff")
    lines = done.stdout.decode().splitlines()
    assert f"--- shipped/{NAME}.md" in lines
    assert f"+++ {own / f'{NAME}.md'}" in lines
    assert {"-## Examples", "+## Some examples", "+·[31mred"} <= set(lines)
    assert b"\x1b" not in done.stdout
    (row,) = json.loads(type_in("prompts", "diff", NAME, "--json").stdout)
    assert row["name"] == NAME
    assert "\n+## Some examples\n" in row["diff"]
    other = type_in("prompts", "diff", "planner_system").stdout.decode()
    assert "planner_system does not differ" in other


def test_diff_is_coloured_at_a_terminal(own: Path) -> None:
    own.mkdir(parents=True)
    (own / f"{NAME}.md").write_text(SHIPPED_TEXT + "Mine.\n")
    done = subprocess.run(
        [sys.executable, str(CLI), "prompts", "diff"],
        capture_output=True,
        check=True,
        env={**environment({}), "FORCE_COLOR": "1"},
    )
    assert b"\x1b[32m+Mine." in done.stdout


# --- what a run records


def test_a_run_records_the_texts_and_goes_on_with_them(own: Path, tmp_path: Path) -> None:
    """Resumed after the user's folder was edited, broken and deleted, it asks as it did."""
    own.mkdir(parents=True)
    (own / f"{NAME}.md").write_text(SHIPPED_TEXT + "Mine.\n")
    whole = make_run(tmp_path / "whole")
    from threading import Event as StopSignal

    stop = StopSignal()
    broken = make_run(tmp_path / "broken", lambda _: stop.set(), stop)
    assert broken.summary.status == "interrupted"
    for run in (whole, broken):
        recorded = {path.stem: path.read_text("utf-8") for path in run.folder.prompts.iterdir()}
        assert recorded.keys() == SLOTS.keys()
        assert recorded[NAME] == SHIPPED_TEXT + "Mine.\n"
    shutil.rmtree(own)
    own.mkdir()
    (own / f"{NAME}.md").write_text("broken")
    with PlanCacheEmptied(broken.cache):
        resume(broken.path)
    assert broken.figures("llm_calls", "cache_hits") == whole.figures("llm_calls", "cache_hits")
    with broken.trace() as trace:
        sent = {str(call.messages[0]["content"]) for call in trace.calls()}
    assert sent
    assert all("Mine." in text for text in sent)


class PlanCacheEmptied:
    """A cache that holds nothing, so that everything is asked again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        cache = PlanCache(self._path)
        cache.clear()
        cache.close()

    def __exit__(self, *_: object) -> None:
        """Nothing to undo."""


def test_a_runs_prompts_can_be_shown_and_used_again(
    type_in: TypeIn, own: Path, tmp_path: Path
) -> None:
    own.mkdir(parents=True)
    (own / f"{NAME}.md").write_text(SHIPPED_TEXT + "Mine.\n")
    run = make_run(tmp_path)
    shutil.rmtree(own)
    shown = json.loads(type_in("prompts", "show", NAME, "--run", run.path, "--json").stdout)
    assert shown["text"] == SHIPPED_TEXT + "Mine.\n"
    assert "+Mine." in type_in("prompts", "diff", "--run", run.path).stdout.decode()
    both = type_in("prompts", "show", NAME, "--run", run.path, "--prompts", "x")
    assert both.returncode == 2
    assert find_library(run.folder.prompts).check() == []
    assert tiny_config(tmp_path, prompts=run.folder.prompts).prompts == run.folder.prompts


def test_a_run_without_a_teacher_has_asked_with_nothing(type_in: TypeIn, tmp_path: Path) -> None:
    run = make_run(tmp_path, weaning__schedule="off")
    assert not run.folder.prompts.exists()
    done = type_in("prompts", "show", NAME, "--run", run.path)
    assert done.returncode == 2
    assert "has recorded no prompts" in done.stderr.decode()
