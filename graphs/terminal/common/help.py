"""`--help` of a command with many options: in groups, with the defaults of the configuration."""

from __future__ import annotations

from typing import Any, Final

from typer.core import TyperCommand

TASK: Final = "Task and student"
TEACHER: Final = "Teacher"
EXPERIMENT: Final = "Experiment"
FIELDS: Final = "All other fields"
OUTPUT: Final = "Output"
_ORDER: Final = (EXPERIMENT, TASK, TEACHER, FIELDS, OUTPUT)
_REST: Final = "Options"

_FIELDS: Final = {
    "engine": "task.engine",
    "budget_calls": "teacher.budget_calls",
    "budget_tokens": "teacher.budget_tokens",
    "budget_usd": "teacher.budget_usd",
}
"""Options whose field of the configuration has another name."""


class GroupedCommand(TyperCommand):
    """A command whose help has a section for each `rich_help_panel` of its options.

    An option that is not given takes a field of the configuration; that field's default is shown.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options."""
        groups: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        groups |= {name: [] for name in (*_ORDER, _REST)}
        fields = _defaults()
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            words, help = record
            if parameter.param_type_name == "argument":
                groups["Arguments"].append((words, help))
                continue
            name = parameter.name or ""
            default = fields.get(_FIELDS.get(name, name))
            shown = parameter.default is None and getattr(parameter, "show_default", True)
            if shown and default is not None:
                help = f"{help}  [default: {default}]"
            groups[getattr(parameter, "rich_help_panel", None) or _REST].append((words, help))
        for name, records in groups.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)


def _defaults() -> dict[str, str]:
    """The defaults of the configuration as people type them, by dotted key; without those of none.

    What is imported for it is imported for the help of such a command alone.
    """
    from tutelage.graphs.config.config import describe_fields

    texts = {key: _text(default) for key, _, default, _ in describe_fields()}
    return {key: text for key, text in texts.items() if text}


def _text(default: Any) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return str(default) if isinstance(default, str | int | float) else ""
