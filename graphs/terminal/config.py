"""`config`: the configuration and what each field does."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

import typer

from tutelage.graphs.terminal.common.options import Assignments, ConfigFile, Json
from tutelage.graphs.terminal.common.tables import print_rows

if TYPE_CHECKING:
    from tutelage.graphs.config.config import RunConfig

app = typer.Typer(help="See the configuration and what each field does.", no_args_is_help=True)


@app.command("show")
def config_show(
    config: ConfigFile = None, assignments: Assignments = None, as_json: Json = False
) -> None:
    """Show every config field: its value, what is allowed, what it does.

    Example: python cli.py config show --set ppo.gamma=0.98
    """
    from tutelage.graphs.config.config import describe_fields, make_config

    chosen = make_config(config, assignments or [], {})
    rows = [
        {
            "field": name,
            "value": value,
            "default": default,
            "allowed": allowed,
            "what it does": sentence,
        }
        for key, allowed, default, sentence in describe_fields()
        for name, value in _values(chosen, key).items()
    ]
    columns = {name: name for name in ("field", "value", "allowed", "what it does")}
    print_rows(rows, as_json, columns)


def _values(chosen: RunConfig, key: str) -> dict[str, Any]:
    """The value of a field by its key; those of all arguments of the task."""
    from tutelage.graphs.config.config import ENV_ARGUMENT, flat

    if key == ENV_ARGUMENT:
        return flat({"env_args": chosen.env_args}) or {key: None}
    return {key: reduce(getattr, key.split("."), chosen)}
