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
from tutelage.graphs.terminal.common.written import tell_written
from tutelage.graphs.terminal.prompts.view import print_problems
from tutelage.prompts.library import SHIPPED, SHIPPED_ALONE, find_slot, own_folder
from tutelage.prompts.slots import Slot
from tutelage.prompts.template import PromptError, read_template

_EDITORS: Final = ("nano", "vim", "vi")
"""Looked for where neither VISUAL nor EDITOR is set."""
_MENDABLE: Final = 2
"""The exit code where a draft is left that does not pass the check."""


def edit(name: str, folder: Path | None) -> int:
    """Let the user edit a template; returns the exit code.

    folder: where own versions are; None for the user's own folder. Raises PromptError.
    """
    slot = find_slot(name)
    if folder == SHIPPED_ALONE:
        raise PromptError("the shipped templates stay as they are; name a folder of your own")
    place = folder or own_folder()
    editor = _editor()
    try:
        place.mkdir(parents=True, exist_ok=True)
        return _edit_draft(slot, place, editor)
    except OSError as error:
        raise PromptError(f"{error.filename or place}: {error.strerror or error}") from error


def _edit_draft(slot: Slot, place: Path, editor: list[str]) -> int:
    """Edit until the draft passes the check or the user has had enough; returns the exit code."""
    own, draft = place / f"{slot.name}.md", place / f".{slot.name}.draft.md"
    before = (own if own.exists() else SHIPPED / own.name).read_bytes()
    if draft.exists():
        _say(f"going on with the draft of last time, {draft}")
    else:
        draft.write_bytes(before)
    while True:
        _run(editor, draft)
        if draft.read_bytes() == before:
            draft.unlink()
            _say("nothing changed")
            return 0
        try:
            read_template(draft, slot)
        except PromptError as error:
            print_problems(error.problems)
        else:
            _put_in_force(draft, own)
            return 0
        if not _wants_again():
            _say(
                f"not in force yet: your text is kept in {draft}; `prompts edit {slot.name}` goes "
                "on with it"
            )
            return _MENDABLE


def _put_in_force(draft: Path, own: Path) -> None:
    """Make the draft the user's own version; where it says what is shipped, there is none."""
    if draft.read_bytes() == (SHIPPED / own.name).read_bytes():
        draft.unlink()
        own.unlink(missing_ok=True)
        _say(f"{own.stem} is as shipped again")
        return
    draft.replace(own)
    tell_written(own, f"`prompts diff {own.stem}` shows what it changes")


def _say(line: str) -> None:
    console().print(safe(line), soft_wrap=True)


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
