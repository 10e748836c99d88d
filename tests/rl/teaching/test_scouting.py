"""Situations that lie ahead, and the questions that are asked about them in advance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.hurried_runs import HURRIED, PROVIDER, after
from helpers.openai_server import OpenAIServer, teach
from helpers.tiny_runs import ROLLOUT, make_run
from tutelage.graphs.config.config import make_config
from tutelage.graphs.records.shapes import Summary
from tutelage.graphs.runtime.run import run
from tutelage.rl.tasks.registry import make_task
from tutelage.rl.teaching.scouting import scout

TASK = "SimpleDoorKey"


class TestScouts:
    def test_they_find_what_a_taught_student_comes_through(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All eight situations of the task; a random student's rollout has six."""
        monkeypatch.setattr("tutelage.rl.teaching.scouting._SECONDS", 600.0)
        met = scout(make_task(TASK, 7), 64, seed=0)
        assert len(met) == 8
        assert min(met.values()) >= 16

    def test_they_are_told_in_the_order_in_which_they_were_met(self) -> None:
        task = make_task("ColoredDoorKey", 7)
        met = scout(task, 64, seed=1)
        assert 0 < min(met.values()) <= max(met.values()) <= 64
        texts = [task.describe(situation) for situation in met]
        assert "carrying: nothing" in texts[0]
        assert any("key" in text and "carrying: nothing" not in text for text in texts[5:])

    def test_what_they_find_can_be_asked_about(self) -> None:
        task = make_task("LavaDoorKey", 7)
        for situation in scout(task, 16, seed=2):
            assert task.describe(situation)
            assert task.options(situation)

    def test_they_play_levels_of_the_training_split(self) -> None:
        splits: list[tuple[str, int]] = []
        task: Any = make_task(TASK, 7)
        make = task.make_envs

        def noted(num_envs: int, split: str, seed: int) -> Any:
            splits.append((split, num_envs))
            return make(num_envs, split, seed)

        task.make_envs = noted
        scout(task, 4, seed=0)
        assert splits == [("train", 4)]

    def test_a_slow_environment_does_not_hold_up_the_run(self, monkeypatch: Any) -> None:
        ticks = iter(np.arange(0.0, 1000.0, 0.4))
        monkeypatch.setattr("tutelage.rl.teaching.scouting.monotonic", lambda: float(next(ticks)))
        assert scout(make_task(TASK, 7), 4, seed=0)
        assert next(ticks) < 3.0


def asked_in_advance(folder: Path, **options: Any) -> set[str]:
    """What a run of one rollout asks about besides what it meets there, as the trace tells it."""
    with OpenAIServer(teach()) as server:
        changed = {**HURRIED, "env": TASK, "steps": ROLLOUT, **options}
        run = make_run(folder, base_url=server.base_url, **changed)
    with run.trace() as trace:
        told = {each.situation_id: each for each in trace.situations()}
        asked = {call.situation_id for call in trace.calls()}
    assert len(asked) == run.summary.llm.situations > 0
    assert asked <= set(told), "the trace says what was asked about"
    return {told[s].text for s in asked if not told[s].visits}


class TestQuestionsInAdvance:
    def test_what_lies_ahead_is_asked_about_before_the_student_comes_there(
        self, tmp_path: Path
    ) -> None:
        ahead = asked_in_advance(tmp_path, wait=False, teacher__patience_s=30.0)
        assert any("carrying: red key" in text for text in ahead)

    @pytest.mark.parametrize(
        "options",
        [{"wait": True}, {"wait": False, "teacher__budget_calls": 100}],
        ids=["wait", "budget"],
    )
    def test_a_run_that_counts_its_answers_asks_about_what_it_meets(
        self, options: dict[str, Any], tmp_path: Path
    ) -> None:
        assert asked_in_advance(tmp_path, **options) == set()

    def test_no_more_are_asked_about_than_at_the_same_time(self, tmp_path: Path) -> None:
        """With room for one, that one is what the student meets first."""
        options = {"wait": False, "teacher__concurrency": 1, "teacher__patience_s": 30.0}
        assert asked_in_advance(tmp_path, **options) == set()


def default_run(folder: Path, server: OpenAIServer) -> Summary:
    """The beginning of a default run, tested often enough to see when it succeeds."""
    options = {"provider": PROVIDER, "base_url": server.base_url, "run_dir": folder / "run"}
    often = {"evaluation.every": 2048, "evaluation.final_episodes": 100, "steps": 60_000}
    return run(make_config(None, [f"cache={folder / 'plans.sqlite'}"], {**options, **often}))


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_three_seconds_an_answer_cost_the_student_nothing(tmp_path: Path) -> None:
    """All eight situations are asked about before the first rollout, and it waits for them."""
    taught = []
    for name, behaviour in {"at_once": teach(), "slowly": after(3.0)}.items():
        with OpenAIServer(behaviour) as server:
            summary = default_run(tmp_path / name, server)
        assert summary.llm.calls == 8
        assert summary.steps_to_95 is not None
        taught.append(summary.steps_to_95)
    assert taught[1] <= 1.3 * taught[0] < 30_000
