"""One prompt template that passed the check, and the filling in of its variables.

In the body `{{ name }}` stands for a variable; nothing else in it is interpreted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tutelage.prompts.slots import FENCE, SLOTS, Role, Slot

VARIABLE: Final = re.compile(r"\{\{(?:[ \t]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*\}\})?")
"""A variable; group 1 is its name, or None for a `{{` that begins no variable."""


class PromptError(ValueError):
    """A template or prompts folder is not as it must be. The message is one line."""


def located(path: Path, line: int, message: str) -> str:
    """A message with the place it speaks of in front; line counts from 1."""
    return f"{path}:{line}: {message}"


def listed(names: Iterable[str]) -> str:
    """Names for a message."""
    return ", ".join(names) or "none"


def unknown_variable(name: str, slot: Slot) -> str:
    """The message for a variable that a slot does not have."""
    return f"variable {name!r} is not known to {slot.name}; allowed: {listed(slot.variables)}"


@dataclass(frozen=True)
class PromptTemplate:
    """A template that passed the check.

    variables: the variables its body uses, in the order of the head. text: the whole file; body:
    what follows the head, without blank lines around it and white
        space at line ends.
    variables_line, body_line: where in the file these begin, from 1.
    """

    name: str
    role: Role
    description: str
    variables: tuple[str, ...]
    text: str
    body: str
    path: Path
    variables_line: int
    body_line: int

    @property
    def digest(self) -> str:
        """SHA-256 of the file's text, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def render(self, **values: str | int) -> str:
        """The body with its variables replaced; what is put in is not expanded again.

        A line that holds nothing but an empty optional variable is left out, the blank line below
        it too. values: the slot's variables; those that the template does not use may be left out.

        Raises PromptError for a value that is missing, one that the slot does not know, and, in a
        slot with a fenced block, one that holds a fence line and so would break the block.
        """
        slot = SLOTS[self.name]
        for name, value in values.items():
            if name not in slot.variables:
                raise self._error(self.variables_line, unknown_variable(name, slot))
            if slot.fenced and _has_fence_line(str(value)):
                raise self._error(
                    self._line_of(name),
                    f"the value of variable {name!r} may have no line that begins with {FENCE}",
                )
        for name in self.variables:
            if name not in values:
                raise self._error(
                    self._line_of(name),
                    f"variable {name!r} has no value; given: {listed(values)}",
                )
        empty = [name for name in slot.optional if values.get(name) == ""]
        body = _without_lines_of(empty, self.body)
        return VARIABLE.sub(lambda match: str(values[match[1]]), body).rstrip("\n")

    def _error(self, line: int, message: str) -> PromptError:
        return PromptError(located(self.path, line, message))

    def _line_of(self, name: str) -> int:
        """The line that first uses a variable, or that of the head where none does."""
        for match in VARIABLE.finditer(self.body):
            if match[1] == name:
                return self.body_line + self.body.count("\n", 0, match.start())
        return self.variables_line


def _without_lines_of(names: Iterable[str], body: str) -> str:
    """The body without the lines that hold nothing but one of these variables."""
    for name in names:
        body = re.sub(
            rf"^\{{\{{[ \t]*{name}[ \t]*\}}\}}(?:\n\n|\n|\Z)", "", body, flags=re.MULTILINE
        )
    return body


def _has_fence_line(text: str) -> bool:
    return any(line.lstrip().startswith(FENCE) for line in text.splitlines())
