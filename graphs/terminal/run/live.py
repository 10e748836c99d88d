"""Live progress of a run: a panel that stays in place on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any, Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tutelage.graphs.config.events import (
    Asking,
    Evaluating,
    Event,
    IterationDone,
    Notice,
    RunStarted,
)
from tutelage.graphs.records.trace.names import DASH
from tutelage.graphs.terminal.common.text import percent, safe

_PLAIN_EVERY_S: Final = 10.0
_SMOOTHING: Final = 0.2


class LiveProgress:
    """Shows a run's events. A context manager; leaves the terminal as it found it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started: RunStarted | None = None
        self._row: Mapping[str, Any] = {}
        self._last_eval: tuple[int, float, float | None] | None = None
        self._evaluating = ""
        self._episodes = 0
        self._rate: float | None = None
        self._mark: tuple[float, int] | None = None
        self._plain_due = 0.0
        self._live = (
            Live(console=console, get_renderable=self.panel, refresh_per_second=8, transient=True)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave_panel()

    def on_signal(self, name: str) -> None:
        """A first Ctrl-C, say: give the terminal back, for a second one ends the process at once.

        May be called from any thread.
        """
        self._leave_panel()
        self._console.print(
            safe(f"{name}: stopping at the end of this iteration; once more quits at once")
        )

    def _leave_panel(self) -> None:
        """From here on, plain lines; the cursor is shown again."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def on_event(self, event: Event) -> None:
        """Take note of an event and show it."""
        if isinstance(event, RunStarted):
            self._start(event)
        elif isinstance(event, IterationDone):
            self._iterate(event.row)
        elif isinstance(event, Notice):
            self._console.print(safe(event.text, "yellow"), soft_wrap=True)
        elif isinstance(event, Evaluating):
            self._episodes = event.done
            self._evaluating = f"evaluating {event.done}/{event.episodes}"
        elif isinstance(event, Asking) and self._live is not None:
            if event.begins:
                self._live.stop()
            else:
                self._live.start()

    def _start(self, event: RunStarted) -> None:
        self._started = event
        self._mark = (monotonic(), event.env_steps)
        line = safe(f"{event.graph} · {event.env} · teacher {event.provider}")
        self._console.print(line)
        self._console.print(safe(f"run folder {event.run_dir}"), soft_wrap=True)

    def _iterate(self, row: Mapping[str, Any]) -> None:
        self._row, self._evaluating = row, ""
        self._measure(row["env_steps"])
        if "eval_success" in row:
            self._last_eval = (row["env_steps"], row["eval_success"], row.get("eval_return"))
        if self._live is None and ("eval_success" in row or monotonic() >= self._plain_due):
            self._plain_due = monotonic() + _PLAIN_EVERY_S
            self._console.print(Text(self._line()), soft_wrap=True)

    def _measure(self, env_steps: int) -> None:
        """A running mean of the steps per second, evaluations included."""
        now = monotonic()
        if self._mark is not None and now > self._mark[0]:
            rate = (env_steps - self._mark[1]) / (now - self._mark[0])
            self._rate = (
                rate if self._rate is None else self._rate + _SMOOTHING * (rate - self._rate)
            )
        self._mark = (now, env_steps)

    def show_rate(self, steps_per_s: float) -> None:
        """Show this speed until the next iteration says otherwise."""
        self._rate = steps_per_s

    def _figures(self) -> dict[str, str]:
        row = self._row
        if self._plays_episodes:
            return {
                "success so far": self._success(row["train_success"], row.get("train_return")),
                "steps with advice": percent(row.get("advised_share")),
                "LLM calls": f"{row['llm_calls']:,}",
                "cache hits": f"{row['cache_hits']:,}",
            }
        evaluated = DASH
        if self._last_eval is not None:
            steps, success, mean_return = self._last_eval
            evaluated = f"{self._success(success, mean_return)} at {steps:,}"
        return {
            "iteration": f"{row['iteration']:,}",
            "steps/s": f"{self._rate:,.0f}" if self._rate else DASH,
            "training success": self._success(row["train_success"], row.get("train_return")),
            "held-out success": evaluated,
            "teacher weight": f"{row['teacher_weight']:.3f}",
            "agreement": percent(row.get("agreement")),
            "LLM calls": f"{row['llm_calls']:,}",
            "cache hits": f"{row['cache_hits']:,}",
            "time left": self._time_left(),
        }

    def _success(self, share: float | None, mean_return: float | None) -> str:
        """A share of successes, with the mean return where that tells more."""
        scored = self._started is not None and self._started.scored and mean_return is not None
        return f"{percent(share)}, return {mean_return:.3g}" if scored else percent(share)

    @property
    def _plays_episodes(self) -> bool:
        """Whether no student learns: the teacher plays a number of episodes."""
        return self._started is not None and self._started.episodes is not None

    def _progress(self) -> tuple[int, int, str]:
        """How far it is: done, of how many, of what."""
        if self._started is not None and self._started.episodes is not None:
            return self._episodes, self._started.episodes, "episodes"
        return self._row["env_steps"], self._started.steps if self._started else 0, "steps"

    def _time_left(self) -> str:
        if not (self._rate and self._started):
            return DASH
        seconds = int(max(self._started.steps - self._row["env_steps"], 0) / self._rate)
        return f"{seconds // 60}:{seconds % 60:02d}"

    def _line(self) -> str:
        figures = " · ".join(f"{name} {value}" for name, value in self._figures().items())
        done, total, unit = self._progress()
        return f"{unit} {done:,}/{total:,} · {figures}"

    def panel(self) -> Panel:
        """The state of the run as it stands."""
        started = self._started
        if started is None or not self._row:
            return Panel(Text("setting up: the first rollout compiles the kernels"), title="run")
        done, total, unit = self._progress()
        bar = ProgressBar(total=total, completed=min(done, total), width=60)
        head = Text(f"{done:,} of {total:,} {unit}   {self._evaluating}")
        alone = self._row["teacher_weight"] == 0
        doing = "the student is alone" if alone else "teaching"
        return Panel(
            Group(head, bar, Text(), two_columns(self._figures())),
            title=safe(f"{started.graph} · {started.env}"),
            border_style="green" if alone else "cyan",
            subtitle="the teacher acts" if self._plays_episodes else doing,
        )


def two_columns(figures: Mapping[str, str]) -> Table:
    """Named figures in two columns of name and value."""
    table = Table.grid(padding=(0, 2))
    pairs = list(figures.items())
    half = (len(pairs) + 1) // 2
    for i in range(half):
        right = pairs[i + half] if i + half < len(pairs) else ("", "")
        table.add_row(
            Text(pairs[i][0], style="dim"),
            Text(pairs[i][1]),
            Text(right[0], style="dim"),
            Text(right[1]),
        )
    return table
