"""Mistakes that people can mend: each is one clear line and exit code 2, never a traceback."""

from __future__ import annotations

import traceback
from typing import Final

from tutelage.agents.common.redact import redact
from tutelage.graphs.runtime.conditions import machine_trouble

USER_ERRORS: Final = frozenset(
    {
        "tutelage.agents.providers.keys.KeyFileError",
        "tutelage.agents.store.plan_file.CacheError",
        "tutelage.agents.client.prices.PriceFileError",
        "tutelage.agents.providers.make.ProviderError",
        "tutelage.agents.store.recordings.RecordingError",
        "tutelage.graphs.runtime.conditions.RunStoppedError",
        "tutelage.graphs.config.config.ConfigError",
        "tutelage.graphs.registry.UnknownGraphError",
        "tutelage.graphs.terminal.common.text.NoTerminalError",
        "tutelage.prompts.template.PromptError",
        "tutelage.graphs.records.checkpoints.CheckpointError",
        "tutelage.agents.common.files.RunFolderError",
        "tutelage.rl.tasks.lookups.UnknownLookupError",
        "tutelage.rl.rollouts.replay.ReplayError",
        "tutelage.rl.policy.policy.StudentError",
        "tutelage.rl.tasks.base.UnknownTaskError",
        "tutelage.graphs.records.trace.schema.TraceError",
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
