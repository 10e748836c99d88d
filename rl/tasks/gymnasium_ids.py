"""Names of Gymnasium's environments: what is known, and what to say of the rest.

Gymnasium is imported once one of these functions is called: listing tasks must not wait for it.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tutelage.rl.tasks.base import UnknownTaskError
from tutelage.rl.tasks.own_code import check_arguments, in_one_line
from tutelage.rl.tasks.shipped import PLUGINS

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec


def known_ids() -> list[str]:
    """Every id that Gymnasium knows, the families' included."""
    import gymnasium

    for package in PLUGINS:
        importlib.import_module(package)
    return list(gymnasium.registry)


def spec_of(name: str) -> EnvSpec | None:
    """Gymnasium's entry of an id; None for what is no id.

    Raises UnknownTaskError, with Gymnasium's own suggestion, for an id that it does not know.
    """
    import gymnasium
    from gymnasium.envs.registration import parse_env_id

    if name in known_ids():
        return gymnasium.registry[name]
    try:
        _, _, version = parse_env_id(name)
        if version is not None:
            return gymnasium.spec(name)
    except gymnasium.error.UnregisteredEnv as error:
        raise UnknownTaskError(f"unknown environment {name!r}: {error}") from error
    except gymnasium.error.DeprecatedEnv as error:
        raise UnknownTaskError(f"environment {name!r}: {error}") from error
    except gymnasium.error.Error:  # it is not even of an id's form
        pass
    return None


def check_environment(spec: EnvSpec, arguments: Mapping[str, Any]) -> None:
    """See that an environment's packages are installed, and that it takes these arguments.

    Raises UnknownTaskError.
    """
    from gymnasium.envs.registration import load_env_creator

    label = f"environment {spec.id!r}"
    creator: Any = spec.entry_point
    with in_one_line(label):
        if isinstance(creator, str):
            creator = load_env_creator(creator)
    if arguments:
        check_arguments(label, creator, {**spec.kwargs, **arguments})


def write_a_task_for(spec: EnvSpec) -> str:
    """The line for an environment of no family: how to write a task for it."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|\W+", "_", spec.name)
    return (
        f"{spec.id!r} is a Gymnasium environment, which has no situations and options to teach "
        f"with; write a task for it: envs new {words.lower()}.py --from {spec.id}"
    )
