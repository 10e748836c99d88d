"""The command `config show`."""

from __future__ import annotations

import typer

from tutelage.graphs.terminal.common.options import Assignments, ConfigFile, Json

app = typer.Typer(help="See the configuration and what each field does.", no_args_is_help=True)


@app.command("show")
def config_show(
    config: ConfigFile = None, assignments: Assignments = None, as_json: Json = False
) -> None:
    """Show every config field: its value, what is allowed, what it does.

    Example: python cli.py config show --set ppo.gamma=0.98
    """
    from tutelage.graphs.config.config import make_config
    from tutelage.graphs.terminal.config import view

    view.show(make_config(config, assignments or [], {}), as_json)
