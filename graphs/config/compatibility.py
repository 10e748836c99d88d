"""Whether a configuration fits its graph: what a graph has no use for must be left alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from tutelage.graphs.registry import GraphInfo


def unused_settings(config: BaseModel, graph: GraphInfo) -> Iterator[str]:
    """A clause for each field that was set and means nothing in the graph."""
    for name in graph.unused:
        for key, value, default in _changed(config, name):
            # A schedule without a teacher is what a graph without one has anyhow.
            if (key, value) != ("weaning.schedule", "off"):
                yield (
                    f"{key} = {value!r}: means nothing in the graph {graph.name}; "
                    f"allowed: {default!r}, which is its default"
                )


def _changed(config: BaseModel, name: str, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(dotted key, value, default) for what is not at its default in a field or section."""
    value = getattr(config, name)
    if isinstance(value, BaseModel):
        for inner in type(value).model_fields:
            yield from _changed(value, inner, f"{prefix}{name}.")
        return
    default = type(config).model_fields[name].get_default(call_default_factory=True)
    if value != default:
        yield f"{prefix}{name}", value, default
