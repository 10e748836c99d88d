"""The templates in force: those shipped with the package, with a user's folder layered over them.

A file in the user's folder replaces the shipped one of the same name. Each template is read when
it is first asked for, so that a broken one does not keep the others from being listed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tutelage.prompts.slots import SLOTS, Slot
from tutelage.prompts.template import PromptError, PromptTemplate, listed, read_template
from tutelage.rl.errors import did_you_mean
from tutelage.rl.user_files import config_folder

SHIPPED = Path(__file__).parent
"""The folder of the shipped templates."""

SHIPPED_ALONE: Final = Path("shipped")
"""In the place of a folder's name: no templates but the shipped ones."""


class PromptLibrary:
    """All templates by the name of their slot.

    Run `check` before a template is put to use: only there does a file of a wrong name, which
    would replace nothing, come to light.

    folder: the user's templates; None for the shipped ones alone. Raises PromptError where it
    cannot be listed.
    """

    def __init__(self, folder: Path | None = None) -> None:
        own = {} if folder is None else _files_of(folder)
        self._sources = {name: own.pop(f"{name}.md", SHIPPED / f"{name}.md") for name in SLOTS}
        self._strays = own
        self._templates: dict[str, PromptTemplate] = {}

    def names(self) -> tuple[str, ...]:
        """The names of all templates, broken ones included."""
        return tuple(SLOTS)

    def sources(self) -> dict[str, Path]:
        """The file that each template comes from: the user's where there is one."""
        return dict(self._sources)

    def get(self, name: str) -> PromptTemplate:
        """The template of a name, read once: whoever asks later gets the text that was checked.

        Raises PromptError for an unknown name, and with every problem of a broken template.
        """
        slot = find_slot(name)
        if name not in self._templates:
            self._templates[name] = read_template(self._sources[name], slot)
        return self._templates[name]

    def check(self) -> list[str]:
        """Every problem of every template and of the folder, a line each; empty if all is well."""
        problems: list[str] = []
        for name in SLOTS:
            try:
                self.get(name)
            except PromptError as error:
                problems += error.problems
        names = [f"{name}.md" for name in SLOTS]
        return problems + [
            f"{path}: file name {name!r} is no template{did_you_mean(name, names)}; allowed: "
            f"{listed(names)}"
            for name, path in self._strays.items()
        ]


def find_slot(name: str) -> Slot:
    """The slot of a name. Raises PromptError for an unknown one."""
    if name not in SLOTS:
        hint = did_you_mean(name, SLOTS)
        raise PromptError(f"prompt {name!r} is not known{hint}; allowed: {listed(SLOTS)}")
    return SLOTS[name]


def own_folder() -> Path:
    """Where people's own templates are, unless they name another folder."""
    return config_folder() / "prompts"


def find_library(chosen: Path | None) -> PromptLibrary:
    """The templates in force where a folder was chosen or none was.

    chosen: a folder; `shipped` for none; None for the user's own folder, where there is one.
    Raises PromptError for a folder that cannot be listed.
    """
    if chosen is None:
        return PromptLibrary(own_folder() if own_folder().is_dir() else None)
    return PromptLibrary(None if chosen == SHIPPED_ALONE else chosen)


def _files_of(folder: Path) -> dict[str, Path]:
    """What a user's folder holds, by file name.

    Subfolders, hidden files and the `~` copies that editors leave are passed over.
    Raises PromptError for what cannot be listed.
    """
    try:
        return {
            path.name: path
            for path in sorted(folder.iterdir())
            if not path.name.startswith(".") and not path.name.endswith("~") and not path.is_dir()
        }
    except OSError as error:
        message = f"{folder}: not a readable folder of .md files: {error.strerror}"
        raise PromptError(message) from error
