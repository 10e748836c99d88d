"""The command line: parse, compose, print. What a command does is in the packages beside it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from time import monotonic
from typing import Annotated, Any

import typer

_STARTED = monotonic()

app = typer.Typer(
    name="tutelage",
    help="A large language model teaches a small reinforcement-learning agent, then lets go.\n\n"
    "Example: python cli.py run --graph teacher_student",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
trace_app = typer.Typer(help="Look into what the teacher was asked and what came of it.")
prompts_app = typer.Typer(help="See, check and render the prompt templates.")
graphs_app = typer.Typer(help="See the graphs that can be run.")
envs_app = typer.Typer(help="See the tasks that can be learned.")
providers_app = typer.Typer(help="See the teachers that can be asked.")
runs_app = typer.Typer(help="See the runs that were made.")
config_app = typer.Typer(help="See the configuration and what each field does.")
cache_app = typer.Typer(help="See or empty the cache of the teacher's answers.")
for _name, _sub in {
    "trace": trace_app,
    "prompts": prompts_app,
    "graphs": graphs_app,
    "envs": envs_app,
    "providers": providers_app,
    "runs": runs_app,
    "config": config_app,
    "cache": cache_app,
}.items():
    app.add_typer(_sub, name=_name, no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Run = Annotated[Path, typer.Argument(help="A run folder.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="TOML or JSON file of fields.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any config field; see `config show`."),
]
Prompts = Annotated[Path | None, typer.Option(help="Folder of your own prompt templates.")]
Provider = Annotated[str | None, typer.Option(help="The teacher: offline, openai:MODEL, …")]
Env = Annotated[str | None, typer.Option(help="The task; see `envs list`.")]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random.")]


@app.command()
def run(
    graph: Annotated[str | None, typer.Option(help="The graph; see `graphs list`.")] = None,
    env: Env = None,
    provider: Provider = None,
    base_url: Annotated[
        str | None, typer.Option(help="Address of an OpenAI-compatible server.")
    ] = None,
    prompts: Prompts = None,
    seed: Seed = None,
    steps: Annotated[int | None, typer.Option(help="Environment steps of the run.")] = None,
    num_envs: Annotated[int | None, typer.Option(help="Environments stepped together.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.")] = None,
    wait: Annotated[
        bool | None, typer.Option("--wait/--no-wait", help="Wait for every answer.")
    ] = None,
    budget_calls: Annotated[int | None, typer.Option(help="The most LLM requests.")] = None,
    budget_tokens: Annotated[int | None, typer.Option(help="The most tokens.")] = None,
    budget_usd: Annotated[
        float | None, typer.Option(help="The most US dollars; needs the prices.")
    ] = None,
    run_dir: Annotated[Path | None, typer.Option(help="The run's own folder.")] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: Json = False,
) -> None:
    """Train a student with a teacher, withdraw the teacher, evaluate the student alone.

    Examples:

    python cli.py run --graph teacher_student

    python cli.py run --env LavaDoorKey --seed 1 --set ppo.gamma=0.98

    python cli.py run --provider openai:MODEL --base-url http://localhost:8000/v1
    """
    options = {
        "graph": graph,
        "env": env,
        "provider": provider,
        "base_url": base_url,
        "prompts": prompts,
        "seed": seed,
        "steps": steps,
        "num_envs": num_envs,
        "device": device,
        "wait": wait,
        "teacher.budget_calls": budget_calls,
        "teacher.budget_tokens": budget_tokens,
        "teacher.budget_usd": budget_usd,
        "run_dir": run_dir,
    }
    from graphs.config import make_config

    chosen = make_config(config, assignments or [], options)
    from graphs.views.sessions import watch_run

    raise typer.Exit(watch_run(chosen, _STARTED, as_json))


@app.command()
def resume(run: Run, as_json: Json = False) -> None:
    """Go on with a run that stopped, to the numbers that it would have had.

    Example: python cli.py resume runs/my-run
    """
    from graphs.views.sessions import watch_resume

    raise typer.Exit(watch_resume(run, _STARTED, as_json))


@trace_app.command("list")
def trace_list(run: Run, as_json: Json = False) -> None:
    """List the situations of a run: how often asked, what advice, what came of it.

    Example: python cli.py trace list runs/my-run
    """
    from graphs.views import text, traces

    with traces.open_trace(run) as reader:
        rows = traces.situation_rows(reader)
    if as_json:
        text.print_json(rows)
    else:
        traces.print_situations(text.console(), rows)


@trace_app.command("show")
def trace_show(
    run: Run,
    situation: Annotated[int, typer.Argument(help="An id from `trace list`, or a signature.")],
    brief: Annotated[bool, typer.Option("--brief", help="Leave the prompt out.")] = False,
    as_json: Json = False,
) -> None:
    """Show one situation: messages, raw answers, tool calls, advice, visits, agreement.

    Example: python cli.py trace show runs/my-run 1
    """
    from graphs.views import text, traces

    with traces.open_trace(run) as reader:
        details = traces.situation_details(reader, situation)
    if as_json:
        text.print_json(details)
    else:
        traces.print_situation(text.console(), details, brief)


@prompts_app.command("list")
def prompts_list(prompts: Prompts = None, as_json: Json = False) -> None:
    """List the prompt templates and where each comes from.

    Example: python cli.py prompts list --prompts my_prompts
    """
    from graphs.views import prompt_views

    prompt_views.show_list(prompts, as_json)


@prompts_app.command("show")
def prompts_show(
    name: Annotated[str, typer.Argument(help="A name from `prompts list`.")],
    prompts: Prompts = None,
    as_json: Json = False,
) -> None:
    """Show one prompt template as it is written.

    Example: python cli.py prompts show planner_system
    """
    from graphs.views import prompt_views

    prompt_views.show_one(name, prompts, as_json)


@prompts_app.command("check")
def prompts_check(prompts: Prompts = None) -> None:
    """Check all prompt templates; every problem is named with file and line.

    Example: python cli.py prompts check --prompts my_prompts
    """
    from graphs.views import prompt_views

    raise typer.Exit(0 if prompt_views.check(prompts) else 2)


@prompts_app.command("render")
def prompts_render(
    env: Env = None, prompts: Prompts = None, seed: Seed = None, as_json: Json = False
) -> None:
    """Render the messages that a teacher would get in a first situation of a task.

    Example: python cli.py prompts render --env ColoredDoorKey
    """
    from graphs.views import prompt_views

    prompt_views.render(env, prompts, seed or 0, as_json)


@graphs_app.command("list")
def graphs_list(as_json: Json = False) -> None:
    """List the graphs.

    Example: python cli.py graphs list
    """
    from graphs.registry import list_graphs
    from graphs.views import listings, text

    rows = [{"name": info.name, "summary": info.summary} for info in list_graphs()]
    listings.print_rows(text.console(), rows, as_json)


@graphs_app.command("show")
def graphs_show(
    name: Annotated[str, typer.Argument(help="A name from `graphs list`.")], as_json: Json = False
) -> None:
    """Show a graph as text and as Mermaid.

    Example: python cli.py graphs show teacher_student
    """
    from graphs.views import listings, text

    shape = listings.graph_shape(name)
    if as_json:
        text.print_json(shape)
    else:
        listings.print_graph(text.console(), shape)


@envs_app.command("list")
def envs_list(as_json: Json = False) -> None:
    """List the tasks that come with Tutelage.

    Example: python cli.py envs list
    """
    from dataclasses import asdict

    from graphs.views import listings, text
    from rl.tasks import shipped_tasks

    rows = [asdict(info) for info in shipped_tasks()]
    listings.print_rows(text.console(), rows, as_json)


@envs_app.command("show")
def envs_show(
    name: Annotated[str, typer.Argument(help="A name from `envs list`, or module:callable.")],
    as_json: Json = False,
    seed: Seed = None,
) -> None:
    """Show a task: what the student sees and does, and a first situation.

    Example: python cli.py envs show LavaDoorKey
    """
    from graphs.views import env_views

    env_views.show(name, seed or 0, as_json)


@providers_app.command("list")
def providers_list(as_json: Json = False) -> None:
    """List well-known teachers: installed or not, key present or not.

    Example: python cli.py providers list
    """
    from agents.providers import list_providers
    from graphs.views import listings, text

    rows: list[dict[str, Any]] = [
        {
            "name": info.name,
            "package": info.package,
            "installed": info.installed,
            "key": " or ".join(info.key_variables) or None,
            "key_present": info.key_present,
        }
        for info in list_providers()
    ]
    listings.print_rows(text.console(), rows, as_json)


@runs_app.command("list")
def runs_list(
    folder: Annotated[Path, typer.Argument(help="Where the run folders are.")] = Path("runs"),
    as_json: Json = False,
) -> None:
    """List runs, the newest first.

    Example: python cli.py runs list
    """
    from graphs.views import listings, text
    from rl.runfolder import list_runs

    rows = [listings.run_row(entry) for entry in list_runs(folder)]
    if rows or as_json:
        listings.print_rows(text.console(), rows, as_json)
    else:
        text.console().print(text.safe(f"no runs in {folder}; make one: python cli.py run"))


@runs_app.command("show")
def runs_show(run: Run, as_json: Json = False) -> None:
    """Show how a run ended.

    Example: python cli.py runs show runs/my-run
    """
    from graphs.views import results

    results.show(run, as_json)


@config_app.command("show")
def config_show(
    config: ConfigFile = None, assignments: Assignments = None, as_json: Json = False
) -> None:
    """Show every config field: its value, what is allowed, what it does.

    Example: python cli.py config show --set ppo.gamma=0.98
    """
    from graphs.config import make_config
    from graphs.views import config_views

    config_views.show(make_config(config, assignments or [], {}), as_json)


@cache_app.command("show")
def cache_show(
    file: Annotated[Path | None, typer.Option(help="The cache; none for your own.")] = None,
    as_json: Json = False,
) -> None:
    """Show what the plan cache holds.

    Example: python cli.py cache show
    """
    from graphs.views import cache_views

    cache_views.show(file, as_json)


@cache_app.command("clear")
def cache_clear(
    file: Annotated[Path | None, typer.Option(help="The cache; none for your own.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget every stored answer; the teacher is then asked, and paid, again.

    Example: python cli.py cache clear --yes
    """
    from graphs.views import cache_views

    if not yes:
        typer.confirm("Forget every stored answer?", abort=True)
    cache_views.clear(file)


def check_packages() -> str | None:
    """What is wrong where another package took one of our names; None where all is well."""
    here = Path(__file__).resolve().parent
    for name in ("agents", "graphs", "prompts", "rl"):
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).resolve() if spec and spec.origin else None
        if found is None or found.parent.parent != here:
            return (
                f"the package {name!r} that Python finds is not Tutelage's: {found or 'none'}; "
                f"expected {here / name}. Another installed package has that name (openai-agents "
                f"does): use an environment of its own for Tutelage"
            )
    return None


def main() -> None:
    """Run the command line; a mistake that people can mend is one line and exit code 2."""
    problem = check_packages()
    if problem:
        sys.exit(_complain(problem))
    # Tasks and providers of one's own (module:callable) are found where the command is typed.
    sys.path.append(str(Path.cwd()))
    try:
        app()
    except ValueError as error:
        from graphs.errors import USER_ERRORS

        if not isinstance(error, USER_ERRORS):
            raise
        sys.exit(_complain(str(error)))


def _complain(problem: str) -> int:
    from graphs.views.text import safe

    line = safe(" ".join(problem.split()))
    print(f"tutelage: {line.plain}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
