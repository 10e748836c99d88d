"""Making runs and going on with them."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from graphs.commands import completing
from graphs.commands.options import (
    Assignments,
    BaseUrl,
    ConfigFile,
    Engine,
    Env,
    Graph,
    Json,
    Prompts,
    Provider,
    Run,
    Seed,
    refuse_no_run,
)

_STARTED = monotonic()
"""As good as the process's start: tells imports from the rest."""

app = typer.Typer()


@app.command()
def run(
    graph: Graph = None,
    env: Env = None,
    provider: Provider = None,
    base_url: BaseUrl = None,
    prompts: Prompts = None,
    seed: Seed = None,
    steps: Annotated[int | None, typer.Option(help="Environment steps of the run.")] = None,
    num_envs: Annotated[int | None, typer.Option(help="Environments stepped together.")] = None,
    engine: Engine = None,
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
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard files into the run folder.")
    ] = False,
    loggers: Annotated[
        str | None, typer.Option(help="Who else is told: tensorboard, wandb, mlflow.")
    ] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: Json = False,
) -> None:
    """Train a student with a teacher, withdraw the teacher, evaluate the student alone.

    Examples:

    python cli.py run --graph teacher_student

    python cli.py run --env LavaDoorKey --seed 1 --set ppo.gamma=0.98

    python cli.py run --tensorboard --loggers wandb,mlflow

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
        "task.engine": engine,
        "device": device,
        "wait": wait,
        "teacher.budget_calls": budget_calls,
        "teacher.budget_tokens": budget_tokens,
        "teacher.budget_usd": budget_usd,
        "run_dir": run_dir,
        "loggers": f"{loggers or ''},tensorboard" if tensorboard else loggers,
    }
    from graphs.config import make_config

    chosen = make_config(config, assignments or [], options)
    from graphs.views.sessions import watch_run

    raise typer.Exit(watch_run(chosen, _STARTED, as_json))


@app.command()
def resume(
    run: Run,
    base_url: Annotated[
        list[str] | None,
        typer.Option(
            help="The run's own address, said again: your key may be sent there. Once for each."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Go on with a run that stopped, to the numbers that it would have had.

    Example: python cli.py resume runs/my-run
    """
    refuse_no_run(run)
    from graphs.views.sessions import watch_resume

    raise typer.Exit(watch_resume(run, base_url or [], _STARTED, as_json))


@app.command("eval")
def evaluate(
    run: Run,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes, each way.")] = 1000,
    env: Env = None,
    seed: Annotated[int | None, typer.Option(help="None takes the run's own.")] = None,
    teacher: Annotated[
        bool, typer.Option("--teacher", help="Test the teacher too, acting through its options.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Test a run's student alone, on episodes that its training never saw.

    Examples:

    python cli.py eval runs/my-run --episodes 1000

    python cli.py eval runs/my-run --env LavaDoorKey --teacher
    """
    refuse_no_run(run)
    from graphs.views import evaluations

    evaluations.show(run, episodes, env, seed, teacher, as_json)


@app.command()
def watch(
    run: Run,
    episode: Annotated[int, typer.Option(min=0, help="Which held-out episode.")] = 0,
    seed: Annotated[int | None, typer.Option(help="None takes the run's own.")] = None,
    fps: Annotated[
        float | None, typer.Option(min=0.5, max=60, help="Frames a second; none: step by step.")
    ] = None,
    argmax: Annotated[bool, typer.Option("--argmax", help="Likeliest actions.")] = False,
    provider: Annotated[
        str | None,
        typer.Option(
            help="Ask this teacher; none reads the run's trace, asks nobody.",
            autocompletion=completing.providers,
        ),
    ] = None,
    gif: Annotated[Path | None, typer.Option(help="Write the episode as a GIF.")] = None,
    mp4: Annotated[Path | None, typer.Option(help="Write the episode as an MP4.")] = None,
    as_json: Json = False,
) -> None:
    """Watch a run's student play: its map beside the true grid, its teacher beside it.

    Keys: space next, b back, p play, + and - speed, q quit. Films need:
    pip install "tutelage[video]"

    Examples:

    python cli.py watch runs/my-run

    python cli.py watch runs/my-run --episode 3 --gif episode.gif
    """
    refuse_no_run(run)
    from graphs.views import watching

    films = [film for film in (gif, mp4) if film is not None]
    watching.watch(run, episode, seed, fps, argmax, provider, films, as_json)
