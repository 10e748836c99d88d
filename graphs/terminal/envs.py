"""`envs`: the tasks that can be learned, and the way to one of your own."""

from __future__ import annotations

import keyword
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.panel import Panel
from rich.text import Text

from tutelage.agents.common.invocation import command, hint
from tutelage.graphs.terminal.common import completion
from tutelage.graphs.terminal.common.options import Assignments, Json, Seed
from tutelage.graphs.terminal.common.tables import print_rows
from tutelage.graphs.terminal.common.text import console, print_json, safe
from tutelage.graphs.terminal.common.written import tell_written
from tutelage.rl.errors import UserError

_ENGINES: Final[dict[str, str]] = {
    "batched": "batched, all environments at once in compiled code",
    "gymnasium": "gymnasium, one environment after the other: the batched engine does not know it",
}

_MARKS: Final[dict[str, tuple[str, str]]] = {
    "kept": ("✓", "green"),
    "doubtful": ("?", "yellow"),
    "broken": ("✗", "bold red"),
}
"""How a verdict on a promise is shown."""

TaskName = Annotated[
    str,
    typer.Argument(
        help="A name from `envs list`, a MiniGrid or BabyAI id, or module:attribute.",
        autocompletion=completion.envs,
    ),
]

app = typer.Typer(
    help="See the tasks that can be learned, and write your own.", no_args_is_help=True
)


@app.command("list")
def envs_list(as_json: Json = False) -> None:
    """List the shipped tasks, and those of installed packages.

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
    name: TaskName,
    assignments: Assignments = None,
    as_json: Json = False,
    seed: Seed = None,
) -> None:
    """Show a task: what the student sees and does, and a first situation.

    Example: python cli.py envs show LavaDoorKey
    """
    from tutelage.graphs.analysis.actions import actions_in_words, space_in_words
    from tutelage.graphs.config.config import make_config
    from tutelage.rl.tasks.registry import make_task, settings_of
    from tutelage.rl.tasks.spaces import space_to_json

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
        "action_space": space_to_json(task.action_space),
        "observation": {k: space_to_json(each) for k, each in task.observation_space.items()},
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
    out.print(safe(task.name, "bold"))
    out.print(safe(actions_in_words(task)))
    for key, space in task.observation_space.items():
        out.print(safe(f"the student sees {key}: {space_in_words(space)}"))
    out.print(safe(f"an episode has at most {task.max_episode_steps:,} steps"))
    if engine is not None:
        out.print(safe(f"engine: {_ENGINES[engine]}"))
    out.print(Panel(safe(str(facts["situation"])), title="a first situation", expand=False))
    out.print(Panel(safe(str(facts["picture"])), title="as the agent knows it", expand=False))
    out.print(safe("options on offer: " + ", ".join(map(str, task.options(situation_id)))))


@app.command("check")
def envs_check(
    name: TaskName,
    episodes: Annotated[
        int, typer.Option(min=1, help="How many are played at random, for half a minute at most.")
    ] = 200,
    assignments: Assignments = None,
    as_json: Json = False,
    seed: Seed = None,
) -> None:
    """Try every promise of a task.

    Seeds, spaces, situations, options, labels and replay are tried.

    Exit code 1 where a promise is broken.

    Example: python cli.py envs check my_module:MyTask
    """
    from tutelage.graphs.config.config import make_config
    from tutelage.rl.rollouts.checker import check_task
    from tutelage.rl.tasks.registry import make_task

    chosen = make_config(None, assignments or [], {"env": name, "seed": seed})
    task = make_task(name, chosen.student.map_crop, chosen.task, chosen.env_args)
    out, findings = console(), []
    for finding in check_task(task, chosen.seed, episodes):
        findings.append(finding)
        if not as_json:
            mark, style = _MARKS[finding.verdict]
            line = safe(f"{mark} {finding.promise}: ", style)
            out.print(line.append_text(safe(finding.said)))
    verdicts = [finding.verdict for finding in findings]
    if as_json:
        print_json({"task": task.name, "findings": [asdict(finding) for finding in findings]})
    else:
        out.print(safe(_conclusion(verdicts), "bold"))
    if "broken" in verdicts:
        raise typer.Exit(1)


@app.command("new")
def envs_new(
    file: Annotated[Path, typer.Argument(help="The Python file to write; it must not exist.")],
    env_id: Annotated[
        str, typer.Option("--from", metavar="ID", help="The Gymnasium environment, as `Taxi-v4`.")
    ],
    as_json: Json = False,
) -> None:
    """Write a task for a Gymnasium environment, to be filled in. It runs as it stands.

    Example: python cli.py envs new taxi.py --from Taxi-v4
    """
    from tutelage.rl.gymnasium.template import task_file

    if file.suffix != ".py" or not file.stem.isidentifier() or keyword.iskeyword(file.stem):
        raise UserError(f"{file} is no name for a module; needed: letters, digits, _ and .py")
    text, name = task_file(env_id, file.stem, command())
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        raise UserError(f"{file} is there already; name another file") from None
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}") from error
    if as_json:
        print_json({"file": str(file), "env": f"{file.stem}:{name}"})
        return
    out = console()
    tell_written(file, f"the class {name}; fill in what its TODO lines ask for")
    line = hint("envs", "check", f"{file.stem}:{name}")
    out.print(Text("next: "), safe(line, "bold"), soft_wrap=True)


def _conclusion(verdicts: Sequence[str]) -> str:
    broken, doubtful = verdicts.count("broken"), verdicts.count("doubtful")
    if broken:
        return (
            f"{broken} of {len(verdicts)} promises broken: a run would go wrong or be worth little"
        )
    if doubtful:
        return f"no promise broken; {doubtful} to think about"
    return "all promises kept"
