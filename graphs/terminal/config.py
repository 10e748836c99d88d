"""`config`: the configuration and what each field does."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tutelage.graphs.terminal.common.options import Assignments, ConfigFile, Json, of_run
from tutelage.graphs.terminal.common.tables import print_rows
from tutelage.graphs.terminal.common.text import console, print_json, safe

if TYPE_CHECKING:
    from tutelage.graphs.config.config import RunConfig

_COLUMNS: Final = {
    "field": "field",
    "value": "value",
    "allowed": "allowed",
    "what it does": "description",
}

app = typer.Typer(help="See the configuration and what each field does.", no_args_is_help=True)


@app.command("show")
def config_show(
    config: ConfigFile = None,
    assignments: Assignments = None,
    diff: Annotated[
        Path | None,
        of_run(
            "Only what differs in this run: from the options given, or from the defaults.", "--diff"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show every config field: its value, what is allowed, what it does.

    Examples:

    python cli.py config show --set ppo.gamma=0.98

    python cli.py config show --diff runs/my-run
    """
    from tutelage.graphs.config.config import describe_fields, make_config

    chosen = make_config(config, assignments or [], {})
    if diff is not None:
        _show_difference(diff, chosen, config is not None or bool(assignments), as_json)
        return
    rows = [
        {
            "field": name,
            "value": value,
            "default": default,
            "allowed": allowed,
            "description": sentence,
        }
        for key, allowed, default, sentence in describe_fields()
        for name, value in _values(chosen, key).items()
    ]
    print_rows(rows, as_json, _COLUMNS)


def _show_difference(run: Path, chosen: RunConfig, given: bool, as_json: bool) -> None:
    """The fields in which a run differs from a configuration. given: whether it is of options.

    What the run's task has settled is no difference to what was left to it. Raises RunFolderError.
    """
    from tutelage.graphs.config.config import (
        RunConfig,
        flat,
        settled_fields,
        without_own_fields,
    )
    from tutelage.graphs.records.run_folder import RunFolder

    wanted = flat(chosen.model_dump(mode="json"))
    stored = flat(RunConfig().model_dump(mode="json"))
    config = RunFolder.open(run).read_config()
    stored |= flat(without_own_fields(config))
    settled = settled_fields(config)
    against = "options" if given else "defaults"
    rows = [
        {"field": key, "run": stored.get(key), "other": wanted.get(key)}
        for key in dict.fromkeys([*wanted, *stored])
        if stored.get(key) != wanted.get(key)
        and not (key in settled and wanted.get(key) is None)
        and key != "run_dir"
    ]
    if as_json:
        print_json({"run_dir": str(run), "against": against, "fields": rows})
    elif rows:
        columns = {"field": "field", "in the run": "run", f"in the {against}": "other"}
        print_rows(rows, as_json=False, columns=columns)
    else:
        line = f"{run} differs in no field from the {against}"
        console().print(safe(line), soft_wrap=True)


def _values(chosen: RunConfig, key: str) -> dict[str, Any]:
    """The value of a field by its key; those of all arguments of the task."""
    from tutelage.graphs.config.config import ENV_ARGUMENT, flat

    if key == ENV_ARGUMENT:
        return flat({"env_args": chosen.env_args}) or {key: None}
    return {key: reduce(getattr, key.split("."), chosen)}
