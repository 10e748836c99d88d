"""Prompt templates: Markdown files, checked as they are read, with variables to be filled in.

The first line is a comment that says what the template is for; it is not sent. The rest is the
body: in it `{{ name }}` stands for a variable, and nothing else is interpreted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tutelage.prompts.slots import Slot
from tutelage.rl.errors import UserError, did_you_mean
from tutelage.rl.user_files import NotUtf8Error, decoded, read_plain

_FENCE: Final = "```"
"""Closes a fenced block; followed by the name of its variable, it opens the block."""
_DESCRIPTION: Final = re.compile(r"<!--\s*(\S(?:(?!-->).)*?)\s*-->")
_VARIABLE: Final = re.compile(r"\{\{(?:[ \t]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*\}\})?")
"""A variable; group 1 is its name, or None for a `{{` that begins no variable."""
_LARGEST: Final = 1 << 20
"""Bytes of the largest template that is read."""


class PromptError(UserError):
    """A template or prompts folder is not as it must be.

    problems: all that is wrong, a line each; the message holds them in one line.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def listed(names: Iterable[str]) -> str:
    """Names for a message."""
    return ", ".join(names) or "none"


@dataclass(frozen=True)
class PromptTemplate:
    """A template that passed the check.

    text: the whole file. body: what follows the description, without blank lines around it and
    white space at line ends. body_line: the line of the file that the body begins in, from 1.
    """

    slot: Slot
    path: Path
    text: str
    description: str
    body: str
    body_line: int

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables that the body uses, in the order of their first use."""
        return tuple(dict.fromkeys(match[1] for match in _VARIABLE.finditer(self.body)))

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
        for name, value in values.items():
            if name not in self.slot.variables:
                raise self._error(name, _unknown(name, self.slot))
            lines = str(value).splitlines()
            if self.slot.fenced and any(line.lstrip().startswith(_FENCE) for line in lines):
                message = f"the value of variable {name!r} may have no line that begins with "
                raise self._error(name, message + _FENCE)
        for name in self.variables:
            if name not in values:
                message = f"variable {name!r} has no value; given: {listed(values)}"
                raise self._error(name, message)
        body = self.body
        for name in self.slot.optional:
            if values.get(name) == "":
                alone = rf"^\{{\{{[ \t]*{name}[ \t]*\}}\}}(?:\n\n|\n|\Z)"
                body = re.sub(alone, "", body, flags=re.MULTILINE)
        return _VARIABLE.sub(lambda match: str(values[match[1]]), body).rstrip("\n")

    def _error(self, name: str, message: str) -> PromptError:
        """An error about a variable, with the line that first uses it, or the body's first."""
        uses = (match for match in _VARIABLE.finditer(self.body) if match[1] == name)
        before = self.body[: match.start()] if (match := next(uses, None)) else ""
        return PromptError(_located(self.path, self.body_line + before.count("\n"), message))


def read_template(path: Path, slot: Slot) -> PromptTemplate:
    """Read the template that fills a slot. Raises PromptError with every problem of the file."""
    text = _read(path)
    # White space at the end of a line is not seen: it must not change a prompt or hide a fence.
    lines = [line.rstrip() for line in text.split("\n")]
    description = _DESCRIPTION.fullmatch(lines[0])
    start = next((i for i, line in enumerate(lines) if line and not (description and i == 0)), 1)
    template = PromptTemplate(
        slot=slot,
        path=path,
        text=text,
        description=description[1] if description else "",
        body="\n".join(lines[start:]).rstrip(),
        body_line=start + 1,
    )
    faults = list(_faults(template))
    if faults:
        raise PromptError(*(_located(path, *fault) for fault in faults))
    return template


def _located(path: Path, line: int, message: str) -> str:
    """A message with the place it speaks of in front; line counts from 1."""
    return f"{path}:{line}: {message}"


def _unknown(name: str, slot: Slot) -> str:
    """The message for a variable that a slot does not have."""
    hint, allowed = did_you_mean(name, slot.variables), listed(slot.variables)
    return f"variable {name!r} is not known to {slot.name}{hint}; allowed: {allowed}"


def _read(path: Path) -> str:
    """The file's text, line ends as `\\n`. Raises PromptError."""
    try:
        return decoded(read_plain(path, _LARGEST))
    except NotUtf8Error as error:
        known = error.byte is None
        line = str(error) if known else f"byte 0x{error.byte:02x} is not UTF-8; save it as UTF-8"
        raise PromptError(_located(path, error.line, line)) from error
    except OSError as error:
        raise PromptError(_located(path, 1, f"cannot be read: {error.strerror}")) from error


def _faults(template: PromptTemplate) -> Iterator[tuple[int, str]]:
    """What is wrong with a template, each with its line in the file."""
    slot, first = template.slot, template.body_line
    lines = template.body.split("\n")
    if lines[0] == "---":  # how templates began that had a head of typed fields
        end = first + (lines.index("---", 1) if "---" in lines[1:] else 0)
        yield (
            first,
            f"a head is not needed any more: delete lines {first} to {end}, and let the first line "
            "say what the template is for, as in <!-- Asks the teacher for a plan. -->",
        )
        return
    if not template.description:
        yield (
            1,
            "the first line must be a comment that says what the template is for, as in "
            "<!-- Asks the teacher for a plan. -->",
        )
    if not template.body:
        yield first, "the body is empty; write the prompt below the first line"
        return
    for match in _VARIABLE.finditer(template.body):
        line = first + template.body.count("\n", 0, match.start())
        if match[1] is None:
            allowed = listed(slot.variables)
            yield line, f"'{{{{' must begin a variable, as in {{{{ name }}}}; allowed: {allowed}"
        elif match[1] not in slot.variables:
            yield line, _unknown(match[1], slot)
    if slot.fenced is not None:
        for row, message in _fence_faults(lines, slot.fenced):
            yield first + row, message


def _fence_faults(lines: list[str], name: str) -> Iterator[tuple[int, str]]:
    """What keeps a variable from standing alone in the one fenced block of its name; rows of body.

    The block has to be found again in the rendered text, so each of its three parts has a line to
    itself and there is one block only.
    """
    opening, variable = _FENCE + name, f"{{{{ {name} }}}}"
    rows = [row for row, line in enumerate(lines) if line == opening]
    if not rows:
        yield 0, f"a line {opening} is missing; below it go a line {variable} and a line {_FENCE}"
        return
    for row in rows[1:]:
        yield row, f"a second line {opening}; allowed: one"
    first, second = (*lines[rows[0] + 1 :], "", "")[:2]
    match = _VARIABLE.fullmatch(first)
    if match is None or match[1] != name:
        yield rows[0] + 1, f"a line {variable} is missing right below the line {opening}"
    elif second != _FENCE:
        yield rows[0] + 2, f"a line {_FENCE} is missing right below the line {variable}"
