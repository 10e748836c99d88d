"""The task of a run, as its graph's student sees it."""

from __future__ import annotations

from tutelage.graphs.config.config import ConfigError, RunConfig
from tutelage.graphs.registry import find_graph
from tutelage.rl.tasks.base import Task
from tutelage.rl.tasks.lookups import with_lookups
from tutelage.rl.tasks.option_mdp import NoOptionsError, OptionTask
from tutelage.rl.tasks.registry import make_task


def task_of(config: RunConfig) -> Task:
    """The task that the configuration names, with what its teacher may look up.

    Raises ConfigError, UnknownLookupError or UnknownTaskError.
    """
    task = make_task(config.env, config.student.map_crop, config.task, config.env_args)
    if not find_graph(config.graph).by_options:
        return with_lookups(task, config.teacher.lookups)
    if config.teacher.lookups:
        raise ConfigError(
            f"teacher.lookups = {', '.join(config.teacher.lookups)}: nothing can be looked up in"
            f" graph {config.graph!r}, whose student picks options"
        )
    try:
        gamma = config.ppo.gamma_for(task.max_episode_steps)
        return OptionTask(task, gamma, config.hierarchical.max_option_steps)
    except NoOptionsError as error:
        raise ConfigError(str(error)) from None
