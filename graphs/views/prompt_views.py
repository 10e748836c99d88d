"""Prompt templates at the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group
from rich.panel import Panel

from agents.settings import TeacherSettings
from graphs.views import listings
from graphs.views.text import console, print_json, safe
from prompts.library import PromptLibrary
from prompts.slots import SLOTS


def show_list(folder: Path | None, as_json: bool) -> None:
    """Every template, its role, the variables it may use, and its file."""
    sources = PromptLibrary(folder).sources()
    rows = [
        {
            "name": name,
            "role": SLOTS[name].role,
            "variables": ", ".join(SLOTS[name].variables),
            "file": str(path),
        }
        for name, path in sources.items()
    ]
    listings.print_rows(console(), rows, as_json)


def show_one(name: str, folder: Path | None, as_json: bool) -> None:
    """One template as it is written. Raises PromptError."""
    template = PromptLibrary(folder).get(name)
    if as_json:
        print_json(
            {
                "name": template.name,
                "role": template.role,
                "description": template.description,
                "variables": list(template.variables),
                "file": str(template.path),
                "sha256": template.digest,
                "text": template.text,
            }
        )
        return
    console().print(safe(f"{template.path}\n", "dim"), safe(template.text), sep="")


def check(folder: Path | None) -> bool:
    """Say what is wrong with the templates; whether all is well."""
    library = PromptLibrary(folder)
    problems = library.check()
    for problem in problems:
        console().print(safe(problem, "red"), soft_wrap=True)
    if not problems:
        console().print(safe(f"{len(library.names())} templates, no problem"))
    return not problems


def render(env: str | None, folder: Path | None, seed: int, as_json: bool) -> None:
    """The messages of the situation that a task begins in. Raises PromptError."""
    from agents.verbaliser import Verbaliser
    from graphs.config import RunConfig
    from rl.tasks import make_task

    defaults = RunConfig()
    task = make_task(env or defaults.env, defaults.student.map_crop)
    envs = task.make_envs(1, "train", seed)
    envs.reset()
    signature = int(task.signature(envs.states())[0])
    envs.close()
    most = TeacherSettings().max_options
    question = Verbaliser(task, PromptLibrary(folder), most).question(signature)
    messages = [{"role": m.type, "content": str(m.content)} for m in question.messages]
    if as_json:
        print_json({"messages": messages, "tools": question.tools.schemas})
        return
    for message in messages:
        console().print(Panel(Group(safe(message["content"])), title=message["role"]))
