"""Makes the README's pictures from runs: python docs/make_pictures.py runs/first runs/compared

The first is a run, the second a folder of runs for the learning curves (`compare --dir`).

docs/run.svg: the live view in the middle of the run, and the table at its end. docs/curves.svg: the
learning curves of the second. docs/trace.svg: the list of situations, and one of them in full.
docs/trace_open.svg: the full-screen browser.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".package"))

from rich.console import Console
from rich.text import Text

from tutelage.graphs.analysis.comparison import find_runs
from tutelage.graphs.analysis.curves import panels_of
from tutelage.graphs.config.events import Advised, IterationDone, RunStarted
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.terminal.common.figures import write_figure
from tutelage.graphs.terminal.run.live import LiveProgress
from tutelage.graphs.terminal.run.summary import print_summary
from tutelage.graphs.terminal.trace.browser import TraceBrowser
from tutelage.rl.tasks.options import Option

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


def recording_console(width: int) -> Console:
    """A console that writes nowhere and remembers everything."""
    return Console(record=True, width=width, file=StringIO(), force_terminal=True, highlight=False)


def save(console: Console, name: str, title: str) -> None:
    """Keep what was printed as SVG."""
    write(console.export_svg(title=title), name)


def write(svg: str, name: str) -> None:
    """Keep a picture, with the viewer's own monospace font."""
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    (DOCS / name).write_text(svg.replace("Fira Code", "monospace"), encoding="utf-8")


def typed(console: Console, width: int, *arguments: str) -> None:
    """A command as it is typed, and what it prints in a process of its own."""
    console.print(Text(f"$ python cli.py {' '.join(arguments)}", style="bold"))
    printed = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), *arguments],
        env={**os.environ, "COLUMNS": str(width), "FORCE_COLOR": "1"},
        capture_output=True,
        check=True,
        text=True,
    )
    console.print(Text.from_ansi(printed.stdout))


def draw_run(run: Path) -> None:
    """The live view while the teacher leaves, then the end."""
    folder = RunFolder.open(run)
    rows, config, summary = folder.read_metrics(), folder.read_config(), folder.read_summary()
    if summary is None:
        sys.exit(f"{run} has not ended")
    console = recording_console(96)
    command = f"$ python cli.py run --graph {summary.graph} --run-dir {run}"
    console.print(Text(command, style="bold"))
    view = LiveProgress(Console(file=StringIO(), width=96))
    started = RunStarted(str(run), summary.env, summary.provider, summary.graph, config["steps"], 0)
    view.on_event(started)
    with TraceReader(folder.trace) as reader:
        # The first with a plan of several options, that the picture tells what a plan is.
        told = next(s for s in reader.situations() if s.plans and len(s.plans[0]["plan"]) > 1)
    view.on_event(Advised(told.text, tuple(Option(*option) for option in told.plans[0]["plan"])))
    for row in rows:
        view.on_event(IterationDone(row.model_dump()))
        if row.env_steps >= 0.9 * (summary.teacher_removed_at_step or summary.env_steps):
            break
    # Rows are replayed at once here, so the speed is the run's own.
    view.show_rate(summary.steps_per_s)
    console.print(view.panel())
    console.print(Text("…\n", style="dim"))
    print_summary(console, str(run), summary)
    save(console, "run.svg", "python cli.py run")


def draw_curves(runs: Path) -> None:
    """How well the student did, and how much the teacher had to say, as training went on."""
    panels = panels_of(find_runs([runs]), ["success", "weight"])
    write_figure(panels, DOCS / "curves.svg")


def draw_trace(run: Path) -> None:
    """The situations, and one of them."""
    console = recording_console(104)
    typed(console, console.width, "trace", "list", str(run))
    typed(console, console.width, "trace", "show", str(run), "4", "--brief")
    save(console, "trace.svg", "python cli.py trace")


async def draw_browser(run: Path) -> None:
    """The browser on a situation in which teacher and student may differ."""
    app = TraceBrowser(run)
    async with app.run_test(size=(132, 38)) as pilot:
        await pilot.pause()
        await pilot.press("slash", *"key; red", "enter")
        await app.workers.wait_for_complete()
        await pilot.pause(0.2)
        write(app.export_screenshot(title=f"python cli.py trace open {run}"), "trace_open.svg")


def draw_all(run: Path, compared: Path) -> None:
    """All four pictures."""
    sys.argv[0] = "cli.py"  # the hints in the pictures are those of a checkout
    draw_run(run)
    draw_curves(compared)
    draw_trace(run)
    asyncio.run(draw_browser(run))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    draw_all(*map(Path, sys.argv[1:]))
