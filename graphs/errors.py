"""Mistakes that people can mend: each is one clear line and exit code 2, never a traceback."""

from __future__ import annotations

import traceback
from typing import Final

from agents.keys import KeyFileError
from agents.plan_cache import CacheError
from agents.prices import PriceFileError
from agents.providers import ProviderError
from graphs.conditions import RunStoppedError, machine_trouble
from graphs.config import ConfigError
from graphs.registry import UnknownGraphError
from prompts.library import PromptError
from rl.checkpoints import CheckpointError
from rl.redact import redact
from rl.replay import ReplayError
from rl.runfolder import RunFolderError
from rl.student import StudentError
from rl.tasks import UnknownTaskError
from rl.trace import TraceError

USER_ERRORS: Final = (
    CacheError,
    CheckpointError,
    ConfigError,
    KeyFileError,
    PriceFileError,
    PromptError,
    ProviderError,
    ReplayError,
    RunFolderError,
    RunStoppedError,
    StudentError,
    TraceError,
    UnknownGraphError,
    UnknownTaskError,
)


def one_line(error: Exception) -> str | None:
    """What to tell people of an error; None for a fault of the program, to be shown in full.

    Without secrets: a key may have been typed where something else belongs.
    """
    line = str(error) if isinstance(error, USER_ERRORS) else machine_trouble(error)
    return None if line is None else redact(line)


def in_full(error: BaseException) -> str:
    """The traceback of a fault of the program, without secrets: an error may quote anything."""
    return redact("".join(traceback.format_exception(error)))
