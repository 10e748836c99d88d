"""`envs`: the tasks that can be learned."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final

import typer
from rich.panel import Panel

from tutelage.graphs.terminal.common import completion
from tutelage.graphs.terminal.common.options import Assignments, Json, Seed
from tutelage.graphs.terminal.common.tables import print_rows
from tutelage.graphs.terminal.common.text import console, print_json, safe

_ENGINES: Final[dict[str, str]] = {
    "batched": "batched, all environments at once in compiled code",
    "gymnasium": "gymnasium, one environment after the other: the batched engine does not know it",
}

app = typer.Typer(help="See the tasks that can be learned.", no_args_is_help=True)


@app.command("list")
def envs_list(as_json: Json = False) -> None:
    """List the tasks that come with Tutelage, and those that installed packages offer.

    Example: python cli.py envs list
    """
    from tutelage.rl.tasks.entry_points import installed_tasks, package_of
    from tutelage.rl.tasks.shipped import shipped_tasks

    rows: list[dict[str, Any]] = [
        {**asdict(info), "package": "tutelage"} for info in shipped_tasks()
    ]
    rows += [
        {
            "name": point.name,
            # What it asks for only its code knows, which is not imported for a list.
            "summary": f"{point.value} of {package_of(point)}",
            "default_steps": None,
            "package": package_of(point),
        }
        for point in installed_tasks()
    ]
    columns = {"name": "name", "what to do": "summary", "steps": "default_steps"}
    print_rows(rows, as_json, columns)


@app.command("show")
def envs_show(
    name: Annotated[
        str,
        typer.Argument(
            help="A name from `envs list`, a MiniGrid or BabyAI id, or module:attribute.",
            autocompletion=completion.envs,
        ),
    ],
    assignments: Assignments = None,
    as_json: Json = False,
    seed: Seed = None,
) -> None:
    """Show a task: what the student sees and does, and a first situation.

    Example: python cli.py envs show LavaDoorKey
    """
    from tutelage.graphs.config.config import make_config
    from tutelage.rl.tasks.registry import make_task, settings_of

    chosen = make_config(None, assignments or [], {"env": name, "seed": seed})
    task = make_task(name, chosen.student.map_crop, chosen.task, chosen.env_args)
    envs = task.make_envs(1, "train", chosen.seed)
    envs.reset()
    states = envs.states()
    situation_id = int(task.situation_ids(states)[0])
    engine = settings_of(task, chosen.task).engine
    facts = {
        "name": task.name,
        "engine": engine,
        "actions": list(task.action_names),
        "observation": asdict(task.observation_spec),
        "max_episode_steps": task.max_episode_steps,
        "default_steps": task.default_steps,
        "situation": task.describe(situation_id),
        "options": [str(option) for option in task.options(situation_id)],
        "picture": task.picture(states, 0),
    }
    envs.close()
    if as_json:
        print_json(facts)
        return
    out = console()
    spec = task.observation_spec
    out.print(safe(task.name, "bold"))
    out.print(safe(f"actions: {', '.join(task.action_names)}"))
    out.print(
        safe(
            f"the student sees {spec.height} x {spec.width} cells of {spec.num_codes} kinds and "
            f"{spec.features} features; an episode has at most {task.max_episode_steps} steps"
        )
    )
    if engine is not None:
        out.print(safe(f"engine: {_ENGINES[engine]}"))
    out.print(Panel(safe(str(facts["situation"])), title="a first situation", expand=False))
    out.print(Panel(safe(str(facts["picture"])), title="as the agent knows it", expand=False))
    out.print(safe("options on offer: " + ", ".join(map(str, task.options(situation_id)))))
