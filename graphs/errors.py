"""Mistakes that people can mend: each is one clear line and exit code 2, never a traceback."""

from __future__ import annotations

import traceback
from typing import Final

from graphs.conditions import machine_trouble
from rl.redact import redact

USER_ERRORS: Final = frozenset(
    {
        "agents.keys.KeyFileError",
        "agents.plan_file.CacheError",
        "agents.prices.PriceFileError",
        "agents.providers.ProviderError",
        "agents.recordings.RecordingError",
        "graphs.conditions.RunStoppedError",
        "graphs.config.ConfigError",
        "graphs.registry.UnknownGraphError",
        "graphs.views.text.NoTerminalError",
        "prompts.template.PromptError",
        "rl.checkpoints.CheckpointError",
        "rl.files.RunFolderError",
        "rl.lookups.UnknownLookupError",
        "rl.replay.ReplayError",
        "rl.student.StudentError",
        "rl.tasks.UnknownTaskError",
        "rl.trace_schema.TraceError",
    }
)
"""By name: importing the classes would take seconds, and an error in a command's arguments none."""


def one_line(error: Exception) -> str | None:
    """What to tell people of an error; None for a fault of the program, to be shown in full.

    Without secrets: a key may have been typed where something else belongs.
    """
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    line = str(error) if names & USER_ERRORS else machine_trouble(error)
    return None if line is None else redact(line)


def in_full(error: BaseException) -> str:
    """The traceback of a fault of the program, without secrets: an error may quote anything."""
    return redact("".join(traceback.format_exception(error)))
