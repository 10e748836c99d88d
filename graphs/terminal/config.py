"""`config`: the configuration and what each field does."""

from __future__ import annotations

from functools import reduce

import typer

from tutelage.graphs.terminal.common.options import Assignments, ConfigFile, Json
from tutelage.graphs.terminal.common.tables import print_rows

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
            "field": key,
            "value": reduce(getattr, key.split("."), chosen),
            "default": default,
            "allowed": allowed,
            "what it does": sentence,
        }
        for key, allowed, default, sentence in describe_fields()
    ]
    columns = {name: name for name in ("field", "value", "allowed", "what it does")}
    print_rows(rows, as_json, columns)
