"""Runs of the whole graph, small and real: what they leave behind, who is asked, what repeats."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise, takewhile
from pathlib import Path
from threading import Event as StopSignal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from helpers.tiny_runs import ROLLOUT, TinyRun, make_run, strict_json, tiny_config
from tutelage.agents.client.call_record import CallRecord
from tutelage.graphs.config.config import make_config
from tutelage.graphs.config.events import (
    Doing,
    Evaluating,
    Event,
    IterationDone,
    RunEnded,
    RunStarted,
)
from tutelage.graphs.nodes.assess import _steps_to_95
from tutelage.graphs.records import versions
from tutelage.graphs.records.checkpoints import Checkpoints
from tutelage.graphs.records.trace.records import AdviceRecord
from tutelage.graphs.state import TeachState, first_state
from tutelage.prompts.library import SHIPPED
from tutelage.rl.policy.policy import load_student
from tutelage.rl.ppo.ppo import PPO, UpdateReport
from tutelage.rl.tasks.seeding import episode_seed

pytestmark = pytest.mark.usefixtures("one_thread")

SIX = 6 * ROLLOUT
"""Steps of six iterations: the teacher is removed after the fourth, at 0.6 of the run."""

MANIFOLD = "ColoredDoorKey"
"""A task in which rollouts go on meeting new situations."""

ROW = [
    *("iteration", "env_steps", "wall_s", "train_success", "train_return", "teacher_weight"),
    *(
        "teacher_success",
        "trial_steps",
        "doubted",
        "advised_share",
        "agreement",
        "policy_loss",
        "value_loss",
        "entropy",
    ),
    *("approx_kl", "clip_fraction", "explained_variance", "llm_calls", "cache_hits"),
]
EVALUATED = [*ROW, "eval_success", "eval_return", "eval_length"]
SUMMARY = {
    *("schema_version", "graph", "env", "provider", "seed", "env_steps", "wall_s", "steps_per_s"),
    *("status", "student", "teacher", "teacher_removed_at_step", "steps_to_95", "time", "llm"),
    *("advice", "outcome"),
    *("trial_steps", "total_steps", "total_steps_to_95", "evaluations"),
}
STUDENT = {
    *("success_rate", "ci95", "episodes", "mean_return", "mean_length", "argmax_success_rate"),
}
TIME = {
    *("import_s", "collect_s", "advice_s", "update_s", "evaluate_s", "graph_s", "record_s"),
}
LLM = {
    *("calls", "situations", "cache_hits", "prompt_tokens", "completion_tokens", "cost_usd"),
    *("failures", "fallbacks"),
}


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """Six iterations with the offline teacher, with an evaluation every 300 steps."""
    folder = tmp_path_factory.mktemp("taught")
    return make_run(folder, steps=SIX, evaluation__every=300)


def test_the_learner_is_told_how_much_is_done_and_how_often_it_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By which it takes chance out of the actions (`PPOSettings.at`)."""
    told: list[tuple[float, float]] = []
    whole = PPO.update

    def noted(self: PPO, *given: Any) -> UpdateReport:
        told.append(given[3:])
        return whole(self, *given)

    monkeypatch.setattr(PPO, "update", noted)
    run = make_run(tmp_path, env="MiniGrid-Empty-5x5-v0", steps=5 * SIX)
    assert told == [(row.env_steps / (5 * SIX), row.train_success or 0.0) for row in run.rows]
    assert told[-1][1] > 0, "else nothing was to be seen"


@pytest.fixture(scope="module")
def replayed(taught: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """The same again, with the answers of the first in its cache."""
    folder = tmp_path_factory.mktemp("replayed")
    shutil.copy(taught.cache, folder / "plans.sqlite")
    return make_run(folder, steps=SIX, evaluation__every=300)


@pytest.fixture(scope="module")
def constant(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """Six iterations with a teacher that stays, in a task of many situations."""
    folder = tmp_path_factory.mktemp("constant")
    return make_run(folder, steps=SIX, env=MANIFOLD, weaning__schedule="constant")


def calls_of(run: TinyRun) -> list[CallRecord]:
    with run.trace() as trace:
        return trace.calls()


def advice_of(run: TinyRun) -> list[AdviceRecord]:
    """All advice in the trace, situation by situation."""
    with run.trace() as trace:
        return [row for s in trace.situations() for row in trace.advice(s.situation_id)]


def tensors_of(run: TinyRun) -> dict[str, Any]:
    return load_file(run.folder.student)


def same_tensors(one: TinyRun, other: TinyRun) -> bool:
    a, b = tensors_of(one), tensors_of(other)
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


class TestRunFolder:
    def test_it_holds_all_there_is_and_nothing_else(self, taught: TinyRun) -> None:
        found = {path.name for path in taught.path.iterdir() if not path.name.endswith(".lock")}
        files = {"config.json", "metrics.jsonl", "trace.sqlite", "spending.jsonl"}
        ends = {"student.safetensors", "summary.json"}
        assert found == files | ends | {"checkpoints", "prompts"}
        assert not list(taught.path.rglob("*.tmp"))

    def test_config_says_what_was_run_and_runs_it_again(self, taught: TinyRun) -> None:
        written = strict_json(taught.folder.config)
        assert written["schema_version"] == versions.CONFIG
        assert {"python", "torch", "numpy", "minigrid", "langgraph"} <= set(written["versions"])
        assert written["run_dir"] == str(taught.path)
        again = make_config(taught.folder.config, [], {})
        # The engine that was taken is settled, as the steps and gamma are.
        settled = {"steps": SIX, "task__engine": "batched", "ppo__gamma": 0.97}
        settled |= {"evaluation__every": 300}
        assert again == tiny_config(taught.path.parent, **settled)

    def test_config_names_the_steps_that_a_task_brings(self, tmp_path: Path) -> None:
        stop = StopSignal()
        stop.set()
        run = make_run(tmp_path, stop=stop, steps=None)
        assert strict_json(run.folder.config)["steps"] == 120_000

    def test_a_row_an_iteration(self, taught: TinyRun) -> None:
        lines = taught.folder.metrics.read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        assert [row["iteration"] for row in rows] == [1, 2, 3, 4, 5, 6]
        assert [row["env_steps"] for row in rows] == [ROLLOUT * i for i in range(1, 7)]
        for row in rows:
            assert list(row) == (EVALUATED if "eval_success" in row else ROW)
        for row in taught.rows:
            assert row.policy_loss is not None
            assert row.value_loss is not None
            assert row.entropy is not None
            assert 0 < row.entropy <= math.log(7)
        clocks = [row["wall_s"] for row in rows]
        assert clocks == sorted(clocks)

    def test_it_evaluates_when_a_multiple_of_every_was_passed(self, taught: TinyRun) -> None:
        due = [300 * k for k in range(1, SIX // 300 + 1)]
        expected = {math.ceil(steps / ROLLOUT) for steps in due}
        found = {row.iteration for row in taught.rows if row.eval_success is not None}
        assert found == expected == {3, 5}

    def test_summary(self, taught: TinyRun) -> None:
        summary = strict_json(taught.folder.summary)
        assert set(summary) == SUMMARY
        assert set(summary["student"]) == STUDENT
        assert set(summary["time"]) == TIME
        assert set(summary["llm"]) == LLM
        named = {"graph": "teacher_student", "env": "SimpleDoorKey", "provider": "offline"}
        assert summary | named | {"seed": 0, "status": "finished", "env_steps": SIX} == summary
        assert summary["student"]["episodes"] == 5
        low, high = summary["student"]["ci95"]
        assert 0 <= low <= summary["student"]["success_rate"] <= high <= 1

    def test_the_phases_make_up_the_wall_time(self, taught: TinyRun) -> None:
        summary = taught.summary
        phases = summary.time.model_dump()
        assert sum(phases.values()) <= summary.wall_s + 1e-6
        busy = ("collect_s", "advice_s", "update_s", "evaluate_s", "graph_s", "record_s")
        assert all(phases[name] > 0 for name in busy)
        working = summary.wall_s - summary.time.import_s - summary.time.evaluate_s
        assert summary.steps_per_s == pytest.approx(summary.env_steps / working)

    def test_wall_time_begins_before_the_task_is_made(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Making a task imports and compiles: what people wait for is in the record."""
        lines = ["import time", "from helpers.toy_task import Corridor", "def make():"]
        lines += ["    time.sleep(1.0)", "    return Corridor()"]
        (tmp_path / "dawdling_task.py").write_text("\n".join(lines))
        monkeypatch.syspath_prepend(str(tmp_path))
        run = make_run(tmp_path, env="dawdling_task:make")
        assert run.summary.time.import_s >= 1.0
        assert run.rows[0].wall_s >= 1.0
        assert run.summary.wall_s > run.rows[-1].wall_s

    def test_the_student_acts_without_the_rest(self, taught: TinyRun) -> None:
        student = load_student(taught.path)
        spaces = student.spec.observation_space
        assert set(spaces) == {"grid", "features"}
        seen = {key: np.zeros((4, *space.shape), space.dtype) for key, space in spaces.items()}
        actions = student.act(seen)
        assert actions.shape == (4,)
        assert all(action in student.spec.action_space for action in actions)

    def test_the_trace_accounts_for_every_step(self, taught: TinyRun) -> None:
        steps: Counter[int] = Counter()
        coverage: defaultdict[int, float] = defaultdict(float)
        with taught.trace() as trace:
            for situation in trace.situations():
                assert situation.text
                for visit in trace.visits(situation.situation_id):
                    steps[visit.iteration] += visit.visits
                    coverage[visit.iteration] += visit.visits * visit.coverage
        shares = {row.iteration: row.advised_share for row in taught.rows}
        assert steps == dict.fromkeys(shares, ROLLOUT)
        assert {i: coverage[i] / ROLLOUT for i in shares} == pytest.approx(shares)

    def test_every_call_is_kept_with_all_that_went_in_and_out(self, taught: TinyRun) -> None:
        calls = calls_of(taught)
        assert len(calls) == taught.summary.llm.calls > 0
        for call in calls:
            assert (call.status, call.error, call.attempt) == ("ok", None, 1)
            assert [message["role"] for message in call.messages] == ["system", "user"]
            assert call.tools
            assert len(call.answers) == 5
            assert all(answer["tool_calls"] for answer in call.answers)
        assert sum(call.prompt_tokens or 0 for call in calls) == taught.summary.llm.prompt_tokens

    def test_advice_is_a_distribution_over_plans(self, taught: TinyRun) -> None:
        advice = advice_of(taught)
        assert len(advice) == taught.summary.llm.situations
        assert {row.source for row in advice} == {"model"}
        for row in advice:
            assert sum(plan["p"] for plan in row.plans) == pytest.approx(1.0)
        assert any(len(row.plans) > 1 for row in advice)


class TestWeaning:
    def test_the_weight_follows_the_linear_schedule(self, taught: TinyRun) -> None:
        progress = np.arange(6) / 6  # each update uses the weight set after the one before
        falling = np.interp(progress, [0.0, 0.5, 1.0], [5.0, 0.1, 0.1])
        expected = np.where(progress >= 0.6, 0.0, falling)
        assert [row.teacher_weight for row in taught.rows] == pytest.approx(expected.tolist())

    def test_after_its_removal_the_teacher_is_not_asked(self, taught: TinyRun) -> None:
        removed = taught.summary.teacher_removed_at_step
        assert removed == 4 * ROLLOUT
        before = [row for row in taught.rows if row.env_steps <= removed]
        after = [row for row in taught.rows if row.env_steps > removed]
        assert len(after) == 2
        assert {row.llm_calls for row in after} == {before[-1].llm_calls}
        assert {row.cache_hits for row in after} == {before[-1].cache_hits}
        assert all(row.advised_share == 0 and row.agreement is None for row in after)
        assert all(row.advised_share and row.agreement is not None for row in before)
        assert max(call.env_steps for call in calls_of(taught)) <= removed

    def test_the_removal_is_an_event(self, taught: TinyRun) -> None:
        with taught.trace() as trace:
            events = [(event.kind, event.env_steps) for event in trace.events()]
        assert events[-1] == ("teacher_removed", 4 * ROLLOUT)
        assert {kind for kind, _ in events[:-1]} <= {"teacher_withheld", "teacher_enabled"}

    def test_a_teacher_removed_early_misses_what_another_is_asked_later(
        self, constant: TinyRun, tmp_path: Path
    ) -> None:
        """The situations that the student meets after the removal are new: nobody asks."""
        early: dict[str, Any] = {"weaning__floor_at": 0.1, "weaning__removal_at": 0.1}
        early["weaning__schedule"] = "linear"  # no trial, which would ask about what lies ahead
        run = make_run(tmp_path, steps=SIX, env=MANIFOLD, **early)
        assert run.summary.teacher_removed_at_step == ROLLOUT
        asked = {row.llm_calls for row in run.rows}
        assert asked == {constant.rows[0].llm_calls}
        assert constant.rows[-1].llm_calls > constant.rows[0].llm_calls

    def test_a_run_too_short_for_its_schedule_ends_without_its_teacher(
        self, tmp_path: Path
    ) -> None:
        run = make_run(tmp_path, steps=ROLLOUT)
        assert run.summary.teacher_removed_at_step == ROLLOUT
        assert [row.teacher_weight for row in run.rows] == [5.0]

    def test_constant_never_removes(self, constant: TinyRun) -> None:
        assert constant.summary.teacher_removed_at_step is None
        assert {row.teacher_weight for row in constant.rows} == {5.0}
        assert all(row.advised_share for row in constant.rows)

    def test_off_asks_nothing_and_needs_no_provider(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        run = make_run(tmp_path, weaning__schedule="off", provider="openai:test-model")
        llm = run.summary.llm
        assert (llm.calls, llm.situations, llm.cache_hits, llm.prompt_tokens) == (0, 0, 0, 0)
        assert llm.cost_usd == 0.0
        assert run.summary.teacher_removed_at_step == 0
        assert {row.teacher_weight for row in run.rows} == {0.0}
        assert {row.advised_share for row in run.rows} == {0.0}
        assert calls_of(run) == []
        assert not run.cache.exists()

    def test_a_budget_ends_the_asking_and_not_the_run(self, tmp_path: Path) -> None:
        run = make_run(tmp_path, teacher__budget_calls=3, weaning__schedule="linear")
        assert run.summary.status == "finished"
        assert run.summary.llm.calls == len(calls_of(run)) == 3
        with run.trace() as trace:
            kinds = Counter(event.kind for event in trace.events())
        assert kinds["budget_spent"] == run.summary.llm.failures > 0
        assert 0 < (run.rows[0].advised_share or 0) < 1


class TestRepeating:
    def test_one_seed_gives_one_result(self, taught: TinyRun, tmp_path: Path) -> None:
        again = make_run(tmp_path, steps=SIX, evaluation__every=300)
        assert again.figures() == taught.figures()
        assert same_tensors(again, taught)
        assert again.summary.student == taught.summary.student

    def test_another_seed_gives_another(self, taught: TinyRun, tmp_path: Path) -> None:
        other = make_run(tmp_path, steps=SIX, evaluation__every=300, seed=1)
        assert all(a != b for a, b in zip(other.figures(), taught.figures(), strict=True))
        assert not same_tensors(other, taught)

    def test_what_was_answered_once_is_not_asked_again(
        self, taught: TinyRun, replayed: TinyRun
    ) -> None:
        llm = replayed.summary.llm
        assert (llm.calls, llm.situations, llm.prompt_tokens) == (0, 0, 0)
        assert llm.cache_hits == taught.summary.llm.situations > 0
        counters = ("llm_calls", "cache_hits")
        assert replayed.figures(*counters) == taught.figures(*counters)
        assert same_tensors(replayed, taught)
        assert {row.source for row in advice_of(replayed)} == {"cache"}

    def test_the_trace_of_a_replay_shows_the_conversation_behind_it(
        self, taught: TinyRun, replayed: TinyRun
    ) -> None:
        first = {call.situation_id: call for call in calls_of(taught)}
        calls = calls_of(replayed)
        assert {call.situation_id for call in calls} == set(first)
        for call in calls:
            assert call.status == "cached"
            assert call.prompt_tokens is None
            assert call.messages == first[call.situation_id].messages
            assert call.answers == first[call.situation_id].answers

    def test_an_edited_prompt_asks_again(self, taught: TinyRun, tmp_path: Path) -> None:
        shutil.copy(taught.cache, tmp_path / "plans.sqlite")
        own = tmp_path / "prompts"
        own.mkdir()
        text = (SHIPPED / "planner_system.md").read_text()
        (own / "planner_system.md").write_text(f"{text}\nKeys are light.\n")
        run = make_run(tmp_path, prompts=own)
        assert run.summary.llm.cache_hits == 0
        assert run.summary.llm.calls == run.summary.llm.situations > 0
        said = calls_of(run)[0].messages[0]["content"]
        assert "Keys are light." in str(said)

    def test_other_settings_of_the_teacher_ask_again(self, taught: TinyRun, tmp_path: Path) -> None:
        shutil.copy(taught.cache, tmp_path / "plans.sqlite")
        run = make_run(tmp_path, teacher__temperature=0.0)
        assert run.summary.llm.cache_hits == 0
        assert run.summary.llm.calls > 0

    def test_soft_off_keeps_the_likeliest_plan_of_the_same_answers(
        self, taught: TinyRun, tmp_path: Path
    ) -> None:
        shutil.copy(taught.cache, tmp_path / "plans.sqlite")
        hard = make_run(tmp_path, steps=ROLLOUT, teacher__soft=False)
        assert hard.summary.llm.calls == 0
        likeliest = {
            row.situation_id: max(row.plans, key=lambda plan: float(plan["p"]))["plan"]
            for row in advice_of(taught)
        }
        advice = advice_of(hard)
        assert advice
        for row in advice:
            assert row.plans == [{"plan": likeliest[row.situation_id], "p": 1.0}]

    def test_no_training_level_is_one_of_the_evaluation(self) -> None:
        seeds = {
            split: {episode_seed(0, split, i, k) for i in range(20) for k in range(20)}
            for split in ("train", "evaluation")
        }
        assert not seeds["train"] & seeds["evaluation"]


class TestTasks:
    def test_an_environment_of_ones_own_is_learned(self, tmp_path: Path) -> None:
        """No MiniGrid in it; the offline teacher does not know it and takes the first option."""
        small: dict[str, Any] = {"ppo__minibatch_size": 128, "evaluation__final_episodes": 100}
        run = make_run(tmp_path, env="helpers.toy_task:Corridor", steps=4_000, **small)
        assert run.summary.env == "Corridor"
        assert run.summary.student is not None
        assert run.summary.student.success_rate >= 0.8
        assert run.summary.llm.calls == run.summary.llm.situations == 4
        first = {tuple(row.plans[0]["plan"][0]) for row in advice_of(run)}
        assert first == {("walk_to", "lever"), ("pull", None), ("walk_to", "exit")}
        shares = [row.advised_share for row in run.rows if row.teacher_weight]
        assert shares == [1.0] * len(shares)

    @pytest.mark.parametrize("name", ["Empty-5x5", "DoorKey-5x5", "FourRooms"])
    def test_minigrids_own_levels_run_with_advice(self, name: str, tmp_path: Path) -> None:
        env = f"MiniGrid-{name}-v0"
        run = make_run(tmp_path, env=env, weaning__schedule="constant", evaluation__episodes=2)
        assert run.summary.env == env
        assert run.summary.status == "finished"
        assert len(run.rows) == 3
        assert all((row.advised_share or 0) > 0.5 for row in run.rows)
        assert run.summary.llm.failures == 0


class TestDriving:
    def test_a_run_goes_on_over_many_calls_of_the_graph(self, tmp_path: Path) -> None:
        small: dict[str, Any] = {"num_envs": 1, "ppo__num_steps": 4}
        run = make_run(tmp_path, steps=14 * 4, checkpoint_every=4, **small)
        assert [row.iteration for row in run.rows] == list(range(1, 15))
        assert run.summary.status == "finished"

    def test_events_tell_the_run_in_order(self, tmp_path: Path) -> None:
        events: list[Event] = []
        run = make_run(tmp_path, events.append, evaluation__every=ROLLOUT)
        set_up = list(takewhile(lambda event: isinstance(event, Doing), events))
        assert set_up, "what is done before the run has begun is told"
        started = events[len(set_up)]
        assert isinstance(started, RunStarted)
        assert started.run_dir == str(run.path)
        assert started.steps == 3 * ROLLOUT
        assert isinstance(events[-1], RunEnded)
        assert events[-1].summary == run.summary
        rows = [event.row["iteration"] for event in events if isinstance(event, IterationDone)]
        assert rows == [1, 2, 3]
        evaluations = [event.done for event in events if isinstance(event, Evaluating)]
        assert evaluations.count(5) == 3 + 2

    def test_a_stop_ends_the_run_at_an_iterations_end(self, tmp_path: Path) -> None:
        """Events come from another thread: the third iteration may have begun by then."""
        stop = StopSignal()

        def watch(event: Event) -> None:
            if isinstance(event, IterationDone) and event.row["iteration"] == 2:
                stop.set()

        run = make_run(tmp_path, watch, stop, steps=SIX)
        assert run.summary.status == "interrupted"
        assert run.summary.student is None
        assert run.summary.teacher_removed_at_step is None
        assert len(run.rows) in (2, 3)
        assert run.summary.env_steps == run.rows[-1].env_steps == len(run.rows) * ROLLOUT
        assert load_student(run.path).spec.task == "SimpleDoorKey"

    def test_the_final_state_is_small_and_plain(self, constant: TinyRun) -> None:
        checkpoints = Checkpoints(constant.folder)
        state = checkpoints.record(checkpoints.iterations()[0])["state"]
        assert set(state) == set(TeachState.__annotations__)
        assert state["env_steps"] == SIX
        assert len(state["advice"]) == constant.summary.llm.situations
        assert set(kinds_in(state)) <= {dict, list, str, int, float, bool, type(None)}
        assert len(json.dumps(state, allow_nan=False)) < 100_000


def kinds_in(value: object) -> Iterator[type]:
    """The types of a value and of all that is in it."""
    yield type(value)
    inner: list[object] = []
    if isinstance(value, dict):
        inner = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple):
        inner = list(value)
    for item in inner:
        yield from kinds_in(item)


@given(st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.95, 0.9499, 1.0])), max_size=12))
def test_steps_to_95_is_the_first_of_two_in_a_row(successes: list[float]) -> None:
    state = first_state(5.0)
    for number, success in enumerate(successes, start=1):
        state["steps_to_95"] = _steps_to_95(state, success)
        state["last_eval"] = (1_000 * number, success)
    pairs = pairwise(successes)
    good = [i for i, pair in enumerate(pairs, start=1) if all(rate >= 0.95 for rate in pair)]
    assert state["steps_to_95"] == (1_000 * good[0] if good else None)
