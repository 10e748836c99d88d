"""The nodes of a graph in which the teacher itself acts, beside those that fetch its advice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from langgraph.runtime import Runtime

from tutelage.graphs.config.events import Evaluating
from tutelage.graphs.nodes.assess import close_iteration, metrics_row, write_rows
from tutelage.graphs.registry import ROUND
from tutelage.graphs.runtime.context import RunContext
from tutelage.graphs.runtime.recording import trace_texts
from tutelage.graphs.state import TeachState, Update, advice_in_force, with_update
from tutelage.rl.advice.advice import Advice


class _Unknown(Exception):  # noqa: N818 - no error: the advice is fetched, and the step made again
    """Situations that have come up and that the teacher was not asked about yet."""

    def __init__(self, situation_ids: Sequence[int]) -> None:
        self.situation_ids = list(situation_ids)


def perform(state: TeachState, runtime: Runtime[RunContext]) -> Update:
    """The teacher acts for a round of steps, or until it needs advice that is not there yet."""
    context = runtime.context
    episodes = context.teacher_episodes
    fresh = episodes.between_rounds
    if fresh:
        episodes.begin_round(ROUND)
    # What was asked about in this round without an answer is not waited for again.
    asked = [] if fresh else state["situations"]
    known = advice_in_force(state)

    def advise(situation_ids: Sequence[int]) -> Mapping[int, Advice]:
        unknown = [s for s in situation_ids if s not in known and s not in asked]
        if unknown:
            raise _Unknown(unknown)
        return {s: known[s] for s in situation_ids if s in known}

    met: list[int] = []
    with context.timers.phase("collect"):
        try:
            episodes.play(advise, context.leave_if_late)
        except _Unknown as found:
            met = found.situation_ids
    with context.timers.phase("record"):
        trace_texts(context, met)
    context.tell(Evaluating(episodes.ended, episodes.episodes))
    return {
        "iteration": state["iteration"] + int(fresh),
        "env_steps": episodes.env_steps,
        "situations": sorted({*asked, *met}),
        "missing": [],
        "unsettled": [],
    }


def tally(state: TeachState, runtime: Runtime[RunContext]) -> Update:
    """Write the round down, and decide the end: all episodes have ended."""
    context = runtime.context
    episodes = context.teacher_episodes
    outcome = episodes.outcome()
    report = {
        "train_return": outcome.mean_return if outcome else None,
        "advised_share": 1.0 - episodes.unadvised / episodes.env_steps,
    }
    update: Update = {"train_success": outcome.success_rate if outcome else None}
    if episodes.over:
        update["phase"] = "finished"
    now = with_update(state, update)
    write_rows(context, [metrics_row(context, now, report)])
    return close_iteration(context, state, update)
