"""The prompt templates at the terminal: listed, shown, compared, checked and rendered."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import unified_diff
from pathlib import Path

from rich.panel import Panel

from tutelage.agents.common.redact import redact
from tutelage.graphs.config.config import RunConfig
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.terminal.common import tables
from tutelage.graphs.terminal.common.text import console, print_json, safe
from tutelage.prompts.library import PromptLibrary, find_library, own_folder
from tutelage.prompts.slots import SLOTS
from tutelage.prompts.template import PromptError

_DIFF_STYLES = {"+++": "bold", "---": "bold", "@@": "cyan", "+": "green", "-": "red"}
"""How the lines of a diff begin, and their styles; the first that fits counts."""


def folder_of(chosen: Path | None, run: Path | None) -> Path | None:
    """The folder of templates to look at: the one that a run has recorded, or the chosen one.

    Raises PromptError or RunFolderError.
    """
    if run is None:
        return chosen
    if chosen is not None:
        raise PromptError("--prompts and --run name two sets of templates; give one of them")
    recorded = RunFolder.open(run).recorded_prompts
    if recorded is None:
        raise PromptError(f"{run} has recorded no prompts: no teacher was asked, or it is too old")
    return recorded


def show_list(folder: Path | None, as_json: bool) -> None:
    """Every template, its role, the variables it may use, and its file."""
    sources = find_library(folder).sources()
    rows = [
        {
            "name": name,
            "role": SLOTS[name].role,
            "variables": ", ".join(SLOTS[name].variables),
            "file": str(path),
        }
        for name, path in sources.items()
    ]
    tables.print_rows(rows, as_json)
    if not as_json and folder is None:
        console().print(safe(f"your own versions: {own_folder()}", "dim"), soft_wrap=True)


def show_one(name: str, folder: Path | None, as_json: bool) -> None:
    """One template as it is written. Raises PromptError."""
    template = find_library(folder).get(name)
    if as_json:
        print_json(
            {
                "name": name,
                "role": template.slot.role,
                "description": redact(template.description),
                "variables": list(template.variables),
                "file": str(template.path),
                "sha256": template.digest,
                "text": redact(template.text),
            }
        )
        return
    console().print(safe(f"{template.path}\n", "dim"), safe(redact(template.text)), sep="")


def show_diff(name: str | None, folder: Path | None, as_json: bool) -> None:
    """What a folder's versions change in the shipped templates. Raises PromptError."""
    library, shipped = find_library(folder), PromptLibrary()
    names = tuple(SLOTS) if name is None else (name,)
    changes = {one: _changes(shipped, library, one) for one in names}
    if as_json:
        rows = [{"name": one, "diff": "\n".join(lines)} for one, lines in changes.items() if lines]
        print_json(rows)
        return
    out = console()
    for line in (line for lines in changes.values() for line in lines):
        style = next((s for start, s in _DIFF_STYLES.items() if line.startswith(start)), "")
        out.print(safe(line, style), soft_wrap=True)
    if not any(changes.values()):
        what = "no template differs" if name is None else f"{name} does not differ"
        out.print(safe(f"{what} from what is shipped ({_place(folder)})"), soft_wrap=True)


def check(folder: Path | None, as_json: bool) -> bool:
    """Print what is wrong with the templates; returns whether all is well."""
    problems = [redact(problem) for problem in find_library(folder).check()]
    if as_json:
        print_json({"templates": len(SLOTS), "problems": problems})
        return not problems
    print_problems(problems)
    if not problems:
        console().print(safe(f"{len(SLOTS)} templates, no problem"))
    return not problems


def print_problems(problems: Iterable[str]) -> None:
    """Problems of templates, a line each."""
    for problem in problems:
        console().print(safe(redact(problem), "red"), soft_wrap=True)


def render(config: RunConfig, as_json: bool) -> None:
    """The messages of the situation that a run's task begins in. Raises PromptError."""
    from tutelage.agents.planner.verbaliser import Verbaliser
    from tutelage.graphs.runtime.tasks import task_of

    task = task_of(config)
    envs = task.make_envs(1, "train", config.seed)
    envs.reset()
    situation_id = int(task.situation_ids(envs.states())[0])
    envs.close()
    teacher = config.teacher
    verbaliser = Verbaliser(
        task, find_library(config.prompts), teacher.max_options, thinking=teacher.thinking
    )
    question = verbaliser.question(situation_id)
    messages = [{"role": m.type, "content": redact(str(m.content))} for m in question.messages]
    if as_json:
        print_json({"messages": messages, "tools": question.tools.schemas})
        return
    for message in messages:
        console().print(Panel(safe(message["content"]), title=message["role"]))


def _changes(shipped: PromptLibrary, library: PromptLibrary, name: str) -> list[str]:
    """The lines of a unified diff; none where the texts are the same."""
    before, after = shipped.get(name), library.get(name)
    texts = redact(before.text).splitlines(), redact(after.text).splitlines()
    labels = f"shipped/{name}.md", str(after.path)
    return list(unified_diff(*texts, *labels, lineterm=""))


def _place(folder: Path | None) -> str:
    """Where people's own versions would be."""
    return f"your own versions: {own_folder()}" if folder is None else str(folder)
