"""The configuration at the terminal."""

from __future__ import annotations

from functools import reduce
from typing import Any

from tutelage.graphs.config.config import RunConfig, describe_fields
from tutelage.graphs.terminal.common import tables
from tutelage.graphs.terminal.common.text import console


def show(config: RunConfig, as_json: bool) -> None:
    """Every field: its value here, what is allowed, its default, what it does."""
    rows = [
        {
            "field": key,
            "value": _value(config, key),
            "default": default,
            "allowed": allowed,
            "what it does": sentence,
        }
        for key, allowed, default, sentence in describe_fields()
    ]
    columns = {
        "field": "field",
        "value": "value",
        "allowed": "allowed",
        "what it does": "what it does",
    }
    tables.print_rows(console(), rows, as_json, columns)


def _value(config: RunConfig, key: str) -> Any:
    return reduce(getattr, key.split("."), config)
