"""Live progress of a run: a panel that stays in place on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any, Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from tutelage.graphs.config.events import (
    Advised,
    Asking,
    Doing,
    Evaluating,
    Event,
    IterationDone,
    Notice,
    RunStarted,
    Waiting,
)
from tutelage.graphs.records.trace.names import DASH
from tutelage.graphs.terminal.common.text import can_redraw, percent, safe
from tutelage.graphs.terminal.run.sparkline import Curve
from tutelage.graphs.terminal.run.wait_lines import WaitLines, in_a_line, in_words, unanswered

_PLAIN_EVERY_S: Final = 5.0
_PLAIN_SHARE: Final = 0.1
"""Plain lines come less and less often, so that a run of a day writes no more than a hundred: each
after this share of the time that has passed, but not sooner than after so many seconds."""
_WAITING: Final = "waiting for the LLM"
_REFRESHES_PER_S: Final = 4
_WORTH_TELLING_S: Final = 1.0
"""What takes less, once the run is set up, is not told."""
_SMOOTHING: Final = 0.2
_WIDEST: Final = 78
"""Columns of the panel: no more than most terminals have, and still have after they are resized."""
_CELLS: Final = 60
"""Of the bar and the curve, at most."""
_CURVE: Final = "  success"
"""What stands beside the curve."""
_FRAME: Final = 4
"""Columns of the panel's border."""
_TWO_COLUMNS: Final = 64
"""Columns that two figures beside each other need."""


class LiveProgress:
    """Shows a run's events. A context manager; leaves the terminal as it found it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started: RunStarted | None = None
        self._row: Mapping[str, Any] = {}
        self._cost_usd: float | None = 0.0
        self._most_calls: int | None = None
        self._covered: float | None = None
        self._unanswered = ""
        self._last_eval: tuple[int, float, float | None] | None = None
        self._evaluating = ""
        self._episodes = 0
        self._success = Curve(_CELLS)
        self._advised: Advised | None = None
        self._doing: tuple[str, float] | None = None
        self._set_up: dict[str, float] = {}
        self._waiting: Waiting | None = None
        self._wait_lines = WaitLines()
        self._waits = 0
        self._rate: float | None = None
        self._mark: tuple[float, int] | None = None
        self._began = self._plain_due = monotonic()
        self._spinner = Spinner("dots" if console.encoding.startswith("utf") else "line")
        self._live = (
            Live(
                console=console,
                get_renderable=self.panel,
                refresh_per_second=_REFRESHES_PER_S,
                transient=True,
            )
            if can_redraw(console)
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
            safe(f"{name}: stopping at the end of this iteration; once more quits at once"),
            soft_wrap=True,
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
            self._iterate(event)
        elif isinstance(event, Notice):
            self._console.print(safe(event.text, "yellow"), soft_wrap=self._live is None)
        elif isinstance(event, Evaluating):
            self._episodes = event.done
            self._evaluating = f"evaluating {event.done:,}/{event.episodes:,}"
            self._doing = None if self._row else self._doing
            if self._is_due():
                self._console.print(Text(self._evaluating))
        elif isinstance(event, Doing):
            self._do(event.what)
        elif isinstance(event, Waiting):
            self._wait(event)
        elif isinstance(event, Advised):
            self._advised = event
        elif isinstance(event, Asking) and self._live is not None:
            if event.begins:
                self._live.stop()
            else:
                self._live.start()

    def _start(self, event: RunStarted) -> None:
        self._started = event
        self._mark = (monotonic(), event.env_steps)
        line = safe(f"{event.graph} · {event.env} · teacher {event.provider}")
        self._console.print(line, soft_wrap=self._live is None)
        self._console.print(safe(f"run folder {event.run_dir}"), soft_wrap=True)

    def _begin(self, what: str) -> None:
        """Note that something has begun, and before anything is learned how long the last took."""
        now, before = monotonic(), self._doing
        if before is not None and not self._row:
            self._set_up[before[0]] = self._set_up.get(before[0], 0.0) + now - before[1]
        self._doing = (what, now)

    def _do(self, what: str) -> None:
        setting_up, before = not self._row, self._doing
        self._waiting = None
        self._begin(what)
        if self._live is not None:
            return
        if not setting_up:
            if self._is_due():
                self._console.print(safe(f"now: {what}"), soft_wrap=True)
        # The first is not told: what is refused while the configuration is checked is one line.
        elif before is not None and what not in self._set_up:
            self._console.print(safe(f"setting up: {what}"), soft_wrap=True)

    def _wait(self, event: Waiting) -> None:
        """Note a wait for the LLM. Its time says nothing of how fast the student learns."""
        first, before = self._waits == 0, self._waiting
        if before is None or event.waited_s == 0.0:
            self._waits += 1
            self._begin(_WAITING)
        elif self._mark is not None:
            passed = max(event.waited_s - before.waited_s, 0.0)
            self._mark = (self._mark[0] + passed, self._mark[1])
        self._waiting = event
        if self._live is None and self._wait_lines.is_due(event) and (self._is_due() or first):
            self._console.print(Text(in_a_line(event)), soft_wrap=True)

    def _iterate(self, event: IterationDone) -> None:
        row = self._row = event.row
        self._most_calls, self._covered = event.most_calls, event.covered
        self._cost_usd, self._evaluating, self._doing = event.cost_usd, "", None
        self._waiting = None
        self._unanswered = unanswered(event)
        self._measure(row["env_steps"])
        done, total, _ = self._progress()
        self._success.add(done / max(total, 1), row["train_success"])
        if "eval_success" in row:
            self._last_eval = (row["env_steps"], row["eval_success"], row.get("eval_return"))
        if done >= total:
            self._plain_due = monotonic()  # the last one is told in any case
        if self._is_due():
            self._console.print(Text(self._line()), soft_wrap=True)

    def _is_due(self) -> bool:
        """Whether to print a plain line now: there is no panel, and the last one was long ago."""
        now = monotonic()
        if self._live is not None or now < self._plain_due:
            return False
        self._plain_due = now + max(_PLAIN_EVERY_S, _PLAIN_SHARE * (now - self._began))
        return True

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
                "success so far": self._solved(row["train_success"], row.get("train_return")),
                "steps with advice": percent(row.get("advised_share")),
                **self._use_of_teacher(),
            }
        evaluated = DASH
        if self._last_eval is not None:
            steps, success, mean_return = self._last_eval
            evaluated = f"{self._solved(success, mean_return)} at {steps:,}"
        return {
            "iteration": f"{row['iteration']:,}",
            "steps/s": f"{self._rate:,.0f}" if self._rate else DASH,
            "training success": self._solved(row["train_success"], row.get("train_return")),
            "held-out success": evaluated,
            "teacher weight": f"{row['teacher_weight']:.3f}",
            "agreement": percent(row.get("agreement")),
            **self._use_of_teacher(),
            "time left": self._time_left(),
        }

    def _use_of_teacher(self) -> dict[str, str]:
        """What was asked, and what it cost so far, where it costs anything."""
        row, cost, most = self._row, self._cost_usd, self._most_calls
        bound = "" if most is None else f" of {most:,}"
        use = {"LLM calls": f"{row['llm_calls']:,}{bound}", "cache hits": f"{row['cache_hits']:,}"}
        if self._covered is not None:
            use["visits answered"] = percent(self._covered)
        if cost != 0.0:
            use["cost"] = "not known" if cost is None else f"{cost:.4f} USD"
        return use

    def _solved(self, share: float | None, mean_return: float | None) -> str:
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
        figures = self._figures()
        if self._unanswered:
            figures["not answered"] = self._unanswered
        told = " · ".join(f"{name} {value}" for name, value in figures.items())
        done, total, unit = self._progress()
        return f"{unit} {done:,}/{total:,} · {told}"

    def panel(self) -> Panel:
        """The state of the run as it stands."""
        width = min(self._console.width, _WIDEST)
        started = self._started
        if started is None or not self._row:
            return self._set_up_panel(width)
        done, total, unit = self._progress()
        cells = max(min(_CELLS, width - _FRAME - len(_CURVE)), 1)
        bar = Table.grid()
        bar.add_row(ProgressBar(total=total, completed=min(done, total), width=cells), "")
        curve = self._success.line(cells, self._console.encoding)
        if curve:
            bar.add_row(Text(curve, "green"), Text(_CURVE, "dim"))
        head = Text(f"{done:,} of {total:,} {unit}   {self._evaluating}")
        parts: list[RenderableType] = [head, bar]
        parts += [Text(), named_figures(self._figures(), 2 if width >= _TWO_COLUMNS else 1)]
        if self._unanswered:
            failed = Text.assemble(("not answered  ", "dim"), safe(self._unanswered))
            failed.truncate(width - _FRAME, overflow="ellipsis")
            parts.append(failed)
        if self._advised is not None:
            parts += [Text(), *self._last_advice(self._advised, width - _FRAME)]
        # The line is there in any case, or the panel would grow and shrink many times a second.
        long = self._doing is not None and monotonic() - self._doing[1] >= _WORTH_TELLING_S
        parts.append(self._now() if long else Text())
        alone = self._row["teacher_weight"] == 0
        doing = "the student is alone" if alone else "teaching"
        return Panel(
            Group(*parts),
            title=safe(f"{started.graph} · {started.env}"),
            border_style="green" if alone else "cyan",
            subtitle="the teacher acts" if self._plays_episodes else doing,
            width=width,
        )

    def _last_advice(self, advised: Advised, width: int) -> tuple[Text, Text]:
        """A situation as its teacher saw it, and the plan, each cut to one line."""
        told = Text("last advice  ", "dim")
        told.append_text(safe(" · ".join(advised.situation.split("\n"))))
        plan = Text("       plan  ", "dim")
        plan.append_text(safe(" → ".join(map(str, advised.plan))))
        for line in (told, plan):
            line.truncate(width, overflow="ellipsis")
        return told, plan

    def _set_up_panel(self, width: int) -> Panel:
        """What is being done before anything is learned, and how long all of it took."""
        before = dict(self._set_up)  # another thread may be adding
        steps = [safe(f"  {what}, {took:.1f} s", "dim") for what, took in before.items()]
        return Panel(Group(*steps, self._now()), title="setting up", width=width)

    def _now(self) -> Text:
        """What is being done, and for how long."""
        what, since = self._doing or ("starting", self._began)
        waiting = self._waiting  # another thread may be ending the wait
        what = what if waiting is None else in_words(waiting)
        now, spinner = monotonic(), self._spinner
        mark = spinner.frames[int(1000 * now / spinner.interval) % len(spinner.frames)]
        return Text.assemble((mark, "bold"), " ", safe(what), f", {now - since:.0f} s")


def named_figures(figures: Mapping[str, str], columns: int) -> Table:
    """Named figures, so many beside each other, in the order of reading down."""
    table = Table.grid(padding=(0, 2))
    pairs = list(figures.items())
    down = -(-len(pairs) // columns)
    for i in range(down):
        cells = [
            Text(text, style)
            for name, value in pairs[i::down]
            for text, style in ((name, "dim"), (value, ""))
        ]
        table.add_row(*cells)
    return table
