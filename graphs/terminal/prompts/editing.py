"""Editing a prompt template: in the user's editor, checked when it is saved, nothing ever lost.

The editor works on a draft beside the user's own version, which it replaces once it passes the
check. A draft that does not is kept, and the next edit goes on with it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Final

import typer

from tutelage.graphs.terminal.common.text import console, safe
from tutelage.prompts.library import SHIPPED, SHIPPED_ALONE, own_folder
from tutelage.prompts.reading import read_template
from tutelage.prompts.slots import SLOTS
from tutelage.prompts.template import PromptError, listed

_EDITORS: Final = ("nano", "vim", "vi")
"""Looked for where neither VISUAL nor EDITOR is set."""
_MENDABLE: Final = 2
"""The exit code where a draft is left that does not pass the check."""


def edit(name: str, folder: Path | None) -> int:
    """Let the user edit a template; the exit code.

    folder: where own versions are; None for the user's own folder. Raises PromptError.
    """
    if name not in SLOTS:
        raise PromptError(f"prompt {name!r} is not known; allowed: {listed(SLOTS)}")
    if folder == SHIPPED_ALONE:
        raise PromptError("the shipped templates stay as they are; name a folder of your own")
    place = folder or own_folder()
    editor = _editor()
    try:
        place.mkdir(parents=True, exist_ok=True)
        return _Edit(name, place).through(editor)
    except OSError as error:
        raise PromptError(f"{error.filename or place}: {error.strerror or error}") from error


class _Edit:
    """One template that is being edited."""

    def __init__(self, name: str, place: Path) -> None:
        self._name = name
        self._own = place / f"{name}.md"
        self._draft = place / f".{name}.draft.md"
        self._shipped = (SHIPPED / f"{name}.md").read_bytes()
        self._out = console()

    def through(self, editor: list[str]) -> int:
        """Edit until the draft passes the check or the user has had enough; the exit code."""
        before = self._own.read_bytes() if self._own.exists() else self._shipped
        if self._draft.exists():
            self._say(f"going on with the draft of last time, {self._draft}")
        else:
            self._draft.write_bytes(before)
        while True:
            _run(editor, self._draft)
            if self._draft.read_bytes() == before:
                self._draft.unlink()
                self._say("nothing changed")
                return 0
            problems = read_template(self._draft, SLOTS[self._name]).problems
            if not problems:
                self._keep()
                return 0
            for problem in problems:
                self._out.print(safe(problem, "red"), soft_wrap=True)
            if not _wants_again():
                self._say(
                    f"not in force yet: your text is kept in {self._draft}; `prompts edit "
                    f"{self._name}` goes on with it"
                )
                return _MENDABLE

    def _keep(self) -> None:
        """Put the draft in force; a version that is the shipped one is none."""
        if self._draft.read_bytes() == self._shipped:
            self._draft.unlink()
            self._own.unlink(missing_ok=True)
            self._say(f"{self._name} is as shipped again")
            return
        self._draft.replace(self._own)
        self._say(f"saved as {self._own}; `prompts diff {self._name}` shows what it changes")

    def _say(self, line: str) -> None:
        self._out.print(safe(line), soft_wrap=True)


def _editor() -> list[str]:
    """The editor's command. Raises PromptError where there is none."""
    for variable in ("VISUAL", "EDITOR"):
        command = os.environ.get(variable, "").strip()
        if command:
            try:
                return shlex.split(command)
            except ValueError as error:
                raise PromptError(f"{variable}={command!r} is no command: {error}") from error
    for name in _EDITORS:
        if shutil.which(name):
            return [name]
    raise PromptError("no editor was found; set the environment variable VISUAL or EDITOR to one")


def _run(editor: list[str], file: Path) -> None:
    """Wait for the editor. Raises PromptError where it cannot be started or fails."""
    try:
        code = subprocess.run([*editor, str(file)], check=False).returncode
    except OSError as error:
        raise PromptError(f"editor {editor[0]!r} cannot be started: {error.strerror}") from error
    if code != 0:
        raise PromptError(f"editor {editor[0]!r} ended with {code}; your text is kept in {file}")
    if not file.exists():
        raise PromptError(f"editor {editor[0]!r} has removed {file}; nothing was changed")


def _wants_again() -> bool:
    """Whether the user edits again; no, where there is nobody to ask."""
    try:
        return typer.confirm("Edit again?", default=True)
    except typer.Abort:
        return False
