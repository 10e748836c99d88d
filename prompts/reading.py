"""Reading a template's file and checking it against its slot.

A template is a Markdown file. It begins with a head of named fields, in YAML between two `---`
lines; the rest is the body. Every problem is found in one reading, each with its line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from tutelage.prompts.slots import FENCE, Slot
from tutelage.prompts.template import (
    VARIABLE,
    PromptError,
    PromptTemplate,
    listed,
    located,
    unknown_variable,
)

HEAD_FIELDS: Final = ("description", "role", "variables")
_HEAD_LINE: Final = "---"
_KINDS: Final = {"str": "text", "seq": "a list", "map": "a mapping", "null": "empty"}
"""YAML's short tags in words; the others (int, bool, ...) stand for themselves."""


@dataclass(frozen=True)
class Reading:
    """What came of reading a template's file: the template, or else all that is wrong with it."""

    template: PromptTemplate | None
    problems: tuple[str, ...]


@dataclass(frozen=True)
class _Field:
    """A field of the head: its value as a YAML node, and the line of its name."""

    value: yaml.Node
    line: int


def read_template(path: Path, slot: Slot) -> Reading:
    """Read and check the template that fills a slot. Raises nothing: problems are returned."""
    try:
        text = _read(path)
        head, body, body_line = _split(path, text)
        fields, problems = _head_fields(path, head)
    except PromptError as error:
        return Reading(None, (str(error),))
    problems += _check_description(path, fields) + _check_role(path, fields, slot)
    declared, found = _declared_variables(path, fields, slot)
    problems += found + _check_body(path, body, body_line, slot, declared)
    if problems or declared is None:
        return Reading(None, tuple(problems))
    template = PromptTemplate(
        name=slot.name,
        role=slot.role,
        description=fields["description"].value.value,
        variables=tuple(declared),
        text=text,
        body=body,
        path=path,
        variables_line=fields["variables"].line,
        body_line=body_line,
    )
    return Reading(template, ())


def _error(path: Path, line: int, message: str) -> PromptError:
    return PromptError(located(path, line, message))


def _read(path: Path) -> str:
    """The file's text, line ends as `\\n`."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise _error(
            path, line, f"byte 0x{error.object[error.start]:02x} is not UTF-8; save it as UTF-8"
        ) from error
    except OSError as error:
        raise _error(path, 1, f"cannot be read: {error.strerror}") from error


def _split(path: Path, text: str) -> tuple[str, str, int]:
    """The head, the body without blank lines around it, and the body's first line.

    White space at the end of a line goes: unseen, it must neither change a prompt nor hide a fence.
    """
    lines = [line.rstrip() for line in text.split("\n")]
    if lines[0] != _HEAD_LINE:
        raise _error(path, 1, f"the first line must be {_HEAD_LINE}, which begins the head")
    if _HEAD_LINE not in lines[1:]:
        raise _error(path, 1, f"the head has no end; close it with a line {_HEAD_LINE}")
    end = lines.index(_HEAD_LINE, 1)
    rest = lines[end + 1 :]
    blank = next((i for i, line in enumerate(rest) if line), 0)
    return "\n".join(lines[1:end]), "\n".join(rest[blank:]).rstrip(), end + 2 + blank


def _head_fields(path: Path, head: str) -> tuple[dict[str, _Field], list[str]]:
    """The head's fields by name, and what is wrong with their names.

    Only YAML's node tree is read, by the safe loader: no value is ever turned into an object, and
    every node keeps its line.
    """
    try:
        root = yaml.compose(head, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        line, what = _yaml_fault(error, head)
        raise _error(path, line, f"the head is not valid YAML: {what}") from error
    if root is not None and not isinstance(root, yaml.MappingNode):
        raise _error(path, 2, f"the head must be `field: value` lines of {listed(HEAD_FIELDS)}")
    fields: dict[str, _Field] = {}
    problems: list[str] = []
    for key, value in root.value if root is not None else ():
        line = key.start_mark.line + 2
        name = key.value if isinstance(key, yaml.ScalarNode) else _kind(key)
        if name not in HEAD_FIELDS:
            message = f"field {name!r} is not known; allowed: {listed(HEAD_FIELDS)}"
            problems.append(located(path, line, message))
        elif name in fields:
            message = f"field {name!r} is there twice, first in line {fields[name].line}"
            problems.append(located(path, line, message))
        else:
            fields[name] = _Field(value, line)
    problems += [
        located(path, 1, f"field {name!r} is missing; the head needs {listed(HEAD_FIELDS)}")
        for name in HEAD_FIELDS
        if name not in fields
    ]
    return fields, problems


def _yaml_fault(error: yaml.YAMLError | RecursionError, head: str) -> tuple[int, str]:
    """Where in the file a head stops being YAML, and why, in one line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return error.problem_mark.line + 2, error.problem or "syntax error"
    if isinstance(error, yaml.reader.ReaderError):
        line = head.count("\n", 0, error.position) + 2
        return line, f"character {chr(error.character)!r} is not allowed"
    return 2, "nested too deeply" if isinstance(error, RecursionError) else "syntax error"


def _kind(node: yaml.Node) -> str:
    """What a node is, in words."""
    tag = node.tag.rpartition(":")[2]
    return _KINDS.get(tag, tag)


def _is_text(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and _kind(node) == "text"


def _check_description(path: Path, fields: dict[str, _Field]) -> list[str]:
    field = fields.get("description")
    if field is None:
        return []
    if not _is_text(field.value):
        message = f"field 'description' must be text, but is {_kind(field.value)}"
    elif not field.value.value.strip() or "\n" in field.value.value.strip():
        message = "field 'description' must be one sentence on one line"
    else:
        return []
    return [located(path, field.line, message)]


def _check_role(path: Path, fields: dict[str, _Field], slot: Slot) -> list[str]:
    field = fields.get("role")
    if field is None or (_is_text(field.value) and field.value.value == slot.role):
        return []
    given = repr(field.value.value) if _is_text(field.value) else _kind(field.value)
    message = f"field 'role' is {given}; allowed for {slot.name}: {slot.role}"
    return [located(path, field.line, message)]


def _declared_variables(
    path: Path, fields: dict[str, _Field], slot: Slot
) -> tuple[dict[str, int] | None, list[str]]:
    """The declared variables, each with its line, and what is wrong with them.

    None instead of the variables where there is no list of them to hold the body to.
    """
    field = fields.get("variables")
    if field is None:
        return None, []
    if not isinstance(field.value, yaml.SequenceNode):
        message = f"field 'variables' must be a list of names, but is {_kind(field.value)}"
        return None, [located(path, field.line, message)]
    declared: dict[str, int] = {}
    problems = []
    for item in field.value.value:
        line = item.start_mark.line + 2
        if not _is_text(item):
            message = f"field 'variables' must be a list of names, but holds {_kind(item)}"
            problems.append(located(path, line, message))
        elif item.value in declared:
            problems.append(located(path, line, f"variable {item.value!r} is declared twice"))
        else:
            declared[item.value] = line
            if item.value not in slot.variables:
                problems.append(located(path, line, unknown_variable(item.value, slot)))
    return declared, problems


def _check_body(
    path: Path, body: str, body_line: int, slot: Slot, declared: dict[str, int] | None
) -> list[str]:
    """What is wrong with the body, or between it and the declared variables."""
    if not body:
        return [located(path, body_line, "the body is empty; write the prompt below the head")]
    used: dict[str, int] = {}
    problems = []
    for match in VARIABLE.finditer(body):
        line = body_line + body.count("\n", 0, match.start())
        if match[1] is None:
            message = "'{{' must begin a variable, as in {{ name }}; allowed: "
            problems.append(located(path, line, message + listed(slot.variables)))
        else:
            used.setdefault(match[1], line)
    problems += [located(path, *fault) for fault in _misuse(slot, used, declared)]
    for name in sorted(slot.required - used.keys() - (declared or {}).keys()):
        message = f"variable {name!r} is required; declare it in 'variables' and use it"
        problems.append(located(path, body_line, message))
    if slot.fenced is not None:
        problems += [
            located(path, body_line + row, message)
            for row, message in _fence_faults(body.split("\n"), slot.fenced)
        ]
    return problems


def _misuse(
    slot: Slot, used: dict[str, int], declared: dict[str, int] | None
) -> Iterator[tuple[int, str]]:
    """Where the variables of the body and those of the head differ; lines of the file."""
    for name, line in used.items():
        if name not in slot.variables:
            if declared is None or name not in declared:  # else the head's check has named it
                yield line, unknown_variable(name, slot)
        elif declared is not None and name not in declared:
            yield (
                line,
                f"variable {name!r} is used but not declared in field 'variables'; "
                f"declared: {listed(declared)}",
            )
    for name, line in (declared or {}).items():
        if name not in used and name in slot.variables:
            yield (
                line,
                f"variable {name!r} is declared but the body does not use it; used: {listed(used)}",
            )


def _fence_faults(lines: list[str], name: str) -> Iterator[tuple[int, str]]:
    """What keeps a variable from standing alone in the one fenced block of its name; rows of body.

    The block has to be found again in the rendered text, so each of its three parts has a line to
    itself and there is one block only.
    """
    opening, variable = FENCE + name, f"{{{{ {name} }}}}"
    rows = [row for row, line in enumerate(lines) if line == opening]
    if not rows:
        yield 0, f"a line {opening} is missing; below it go a line {variable} and a line {FENCE}"
        return
    for row in rows[1:]:
        yield row, f"a second line {opening}; allowed: one"
    first, second = (*lines[rows[0] + 1 :], "", "")[:2]
    match = VARIABLE.fullmatch(first)
    if match is None or match[1] != name:
        yield rows[0] + 1, f"a line {variable} is missing right below the line {opening}"
    elif second != FENCE:
        yield rows[0] + 2, f"a line {FENCE} is missing right below the line {variable}"
