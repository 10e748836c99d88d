"""Teachers with faults: wrong where and as often as they should be, the same every time."""

from __future__ import annotations

import math
from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.offline_situations import SCRIPT, ask, offered_in, situations, text_of
from helpers.planners import TASK as DOORS
from helpers.tiny_runs import make_run
from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.exam.exam import Item, items
from tutelage.agents.planner.planner import Planner
from tutelage.agents.providers.catalogue import list_providers
from tutelage.agents.providers.imperfect import (
    SILENCE,
    AdversarialTeacher,
    FaultyTeacher,
    ForgetfulTeacher,
    WeakTeacher,
)
from tutelage.agents.providers.make import ProviderError, make_chat_model
from tutelage.agents.providers.offline import OfflineTeacher
from tutelage.agents.store.plan_cache import cache_key
from tutelage.graphs.runtime.run_spec import _never_slow
from tutelage.prompts.library import PromptLibrary
from tutelage.rl.minigrid.script import SituationFields, is_possible
from tutelage.rl.minigrid.task import GridTask
from tutelage.rl.tasks.options import PADDING, Option, Plan
from tutelage.rl.tasks.registry import make_task

Case = tuple[str, str, tuple[str, ...], bool]
IMPERFECT = ("faulty:0.3", "adversarial", "forgetful:0.3", "weak")

TEXTS = [
    f"mission: open the door\nseen: red key; red door (locked)\nroom: {i}" for i in range(2000)
]
"""As many situations in which there is something to be wrong about."""
DOOR_AND_KEY = offered_in("nothing", ("red key", "red door (locked)"), True)


@cache
def grid(name: str) -> GridTask:
    task = make_task(name, 7)
    assert isinstance(task, GridTask)
    return task


def answer(model: OfflineTeacher, text: str, offered: tuple[Option, ...]) -> Plan:
    """The likeliest plan, silence included."""
    return max(model._weigh(text, offered), key=lambda candidate: candidate.score).plan


def exam_answers(model: OfflineTeacher) -> list[tuple[Item, Plan]]:
    """What a teacher says in the real situations that were marked by hand."""
    return [
        (item, answer(model, item.text, grid(item.task).options(grid(item.task).read(item.text))))
        for item in items()
    ]


# --- what is wrong


@pytest.mark.parametrize(
    "model", [FaultyTeacher(script=SCRIPT, rate=1.0), AdversarialTeacher(script=SCRIPT)]
)
def test_by_the_exam_a_wrong_answer_is_wrong(model: OfflineTeacher) -> None:
    pairs = list(zip(exam_answers(model), exam_answers(OfflineTeacher(script=SCRIPT)), strict=True))
    wrong = [(item, plan) for (item, plan), (_, usual) in pairs if plan not in (usual, SILENCE)]
    assert len(wrong) > 0.7 * len(pairs)
    assert not [(item, plan) for item, plan in wrong if item.accepts(plan, grid(item.task))]


def test_by_the_exam_the_weak_one_errs_only_where_something_is_to_be_opened_now() -> None:
    answers = exam_answers(WeakTeacher(script=SCRIPT))
    for item, plan in answers:
        assert item.accepts(plan, grid(item.task)) != all(
            good[0].name == "open" for good in item.sensible
        )
    assert sum(item.accepts(plan, grid(item.task)) for item, plan in answers) > 0.7 * len(answers)


@given(situations, st.integers(0, 5))
def test_a_wrong_answer_is_on_offer_and_possible_and_no_step_of_the_best_plan(
    case: Case, seed: int
) -> None:
    offered, text = offered_in(*case[1:]), text_of(*case)
    if not offered:
        return
    best = ask(OfflineTeacher(script=SCRIPT, temperature=0.0), text, offered)[0]
    faulty, adversary = (
        FaultyTeacher(script=SCRIPT, rate=1.0, seed=seed),
        AdversarialTeacher(script=SCRIPT, seed=seed),
    )
    wrong = answer(faulty, text, offered)
    assert (wrong == best) == (answer(adversary, text, offered) == SILENCE)
    for plan in (wrong, answer(adversary, text, offered)):
        if plan not in (best, SILENCE):
            (step,) = plan
            assert step in offered
            assert is_possible(step, SituationFields.parse(text))
            assert step not in best or step == Option("explore")
            assert step != best[0]
    if wrong != best:
        assert ask(faulty, text, offered, n=3) == [wrong] * 3
        assert set(ask(adversary, text, offered, n=3)) == {answer(adversary, text, offered)}


@pytest.mark.parametrize("name", ["SimpleDoorKey", "ColoredDoorKey"])
def test_in_real_states_what_the_adversary_says_can_mostly_be_carried_out(name: str) -> None:
    task, num_envs = grid(name), 24
    model, rng = AdversarialTeacher(script=SCRIPT), np.random.default_rng(0)
    met: dict[int, list[bool]] = defaultdict(list)
    envs = task.make_envs(num_envs, "train", seed=5)
    envs.reset()
    held = [(-1, Option("explore"))] * num_envs
    for _ in range(100):
        states = envs.states()
        options = np.full((num_envs, 2), PADDING, dtype=np.int64)
        situation_ids = task.situation_ids(states).tolist()
        for row, situation_id in enumerate(situation_ids):
            offered = task.options(situation_id)
            if held[row][0] != situation_id or rng.random() < 0.05:
                held[row] = (situation_id, offered[rng.integers(len(offered))])
            plan = answer(model, task.describe(situation_id), offered)
            options[row, 0] = task.encode(held[row][1])
            options[row, 1] = PADDING if plan == SILENCE else task.encode(plan[0])
        done = task.act(options, states)
        for row, situation_id in enumerate(situation_ids):
            if options[row, 1] != PADDING:
                met[situation_id].append(bool(done.feasible[row, 1]))
        probs = done.targets[:, 0]
        stray = ~probs.any(axis=1) | (rng.random(num_envs) < 0.1)
        envs.step(np.where(stray, rng.integers(3, size=num_envs), probs.argmax(axis=1)))
    envs.close()
    assert len(met) >= 4
    assert all(np.mean(can) > 0.7 for can in met.values() if len(can) >= 20)


# --- how often, and always the same


def share(model: OfflineTeacher, usual: Plan) -> float:
    return float(np.mean([answer(model, text, DOOR_AND_KEY) != usual for text in TEXTS]))


@pytest.mark.parametrize("kind", [FaultyTeacher, ForgetfulTeacher])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3, 0.7, 1.0])
def test_the_share_of_situations_with_a_fault_is_the_rate(
    kind: type[FaultyTeacher] | type[ForgetfulTeacher], rate: float
) -> None:
    usual = answer(OfflineTeacher(script=SCRIPT), TEXTS[0], DOOR_AND_KEY)
    # Five standard deviations: a hash that is no good would be far outside.
    slack = 5 * math.sqrt(rate * (1 - rate) / len(TEXTS))
    for seed in (0, 1):
        assert share(kind(script=SCRIPT, rate=rate, seed=seed), usual) == pytest.approx(
            rate, abs=slack
        )


def test_a_higher_rate_adds_faults_and_another_seed_or_kind_has_others() -> None:
    def befallen(
        kind: type[FaultyTeacher] | type[ForgetfulTeacher], rate: float, seed: int
    ) -> set[str]:
        return {
            text for text in TEXTS[:300] if kind(script=SCRIPT, rate=rate, seed=seed)._errs(text)
        }

    few = befallen(FaultyTeacher, 0.3, 0)
    assert few < befallen(FaultyTeacher, 0.5, 0)
    assert few != befallen(FaultyTeacher, 0.3, 1)
    assert few != befallen(ForgetfulTeacher, 0.3, 0)


def test_a_wrong_option_is_any_of_those_there_are() -> None:
    model = FaultyTeacher(script=SCRIPT, rate=1.0)
    said = [answer(model, text, DOOR_AND_KEY) for text in TEXTS]
    assert {str(plan[0]) for plan in said} == {"explore()", "go_to(red door)"}
    assert 0.4 < np.mean([plan == said[0] for plan in said]) < 0.6


@given(situations, st.integers(0, 3), st.permutations(range(5)))
def test_answers_depend_on_no_order_of_the_questions(
    case: Case, seed: int, order: list[int]
) -> None:
    offered = offered_in(*case[1:]) or (Option("wait"),)
    for model in (
        FaultyTeacher(script=SCRIPT, rate=0.5, seed=seed),
        WeakTeacher(script=SCRIPT, seed=seed, temperature=2.0),
    ):
        together = ask(model, text_of(*case), offered, n=5)
        alone = {i: ask(model, text_of(*case), offered, first=i)[0] for i in order}
        assert together == [alone[i] for i in range(5)]


# --- as providers


def identity_key(provider: str, seed: int = 0) -> str:
    identity = make_chat_model(provider, None, TeacherSettings(seed=seed), DOORS).identity
    return cache_key(
        identity,
        [],
        [],
        output_mode="auto",
        samples=5,
        max_options=5,
        uncertainty="samples",
        lookups={},
    )


def test_the_plan_cache_tells_them_apart() -> None:
    names = ("offline", "adversarial", "weak", "faulty:0.3", "faulty:0.31", "forgetful:0.3")
    keys = [identity_key(name, seed) for name in names for seed in (0, 1)]
    assert len(set(keys)) == len(keys)
    assert identity_key("faulty:0.30") == identity_key("faulty:.3") == identity_key("faulty:0.3")
    for name in names[1:]:
        assert "imperfect_version" in make_chat_model(name, None, TeacherSettings(), DOORS).identity


@pytest.mark.parametrize("name", IMPERFECT)
def test_they_cost_nothing_and_are_always_waited_for(name: str) -> None:
    provider = make_chat_model(name, None, TeacherSettings(budget_usd=0.01), DOORS)
    assert _never_slow(provider)
    assert provider.name == name
    assert "no-llm" in provider.model._llm_type
    with pytest.raises(ProviderError, match="script without a server"):
        make_chat_model(name, "http://localhost:1/v1", TeacherSettings())


def test_they_are_listed() -> None:
    listed = {info.name for info in list_providers()}
    assert {"offline", "faulty:RATE", "adversarial", "forgetful:RATE", "weak"} <= listed


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("faulty:1.5", r"RATE is '1\.5'; allowed: .*0 to 1"),
        ("faulty:-0.1", r"RATE is '-0\.1'"),
        ("faulty:", "RATE is ''"),
        ("faulty", "RATE is nothing"),
        ("forgetful:nan", "RATE is 'nan'"),
        ("forgetful:often", "RATE is 'often'; allowed"),
        ("weak:0.3", "weak takes nothing behind a colon"),
        ("adversarial:", "adversarial takes nothing"),
        ("fautly:0.3", r"unknown provider.*faulty:RATE.*adversarial.*weak"),
    ],
)
def test_what_does_not_do_is_refused_in_one_line(name: str, says: str) -> None:
    with pytest.raises(ProviderError, match=says) as refused:
        make_chat_model(name, None, TeacherSettings(), DOORS)
    assert "\n" not in str(refused.value)


def test_what_was_forgotten_is_an_unusable_answer_after_being_sent_back_once() -> None:
    task = grid("SimpleDoorKey")
    chosen = TeacherSettings(samples=4)
    planner = Planner(
        task, PromptLibrary(), make_chat_model("forgetful:1", None, chosen, DOORS), chosen
    )
    situation_id = task.read(items()[0].text)
    given = planner.ask(situation_id)
    assert (given.failure, given.advice) == ("unusable_answer", None)
    assert [call.status for call in given.calls] == ["unusable_answer"] * 2
    assert "no_idea" in (given.calls[0].error or "")


def test_in_a_run_it_is_noted_and_not_asked_about_at_every_iteration(tmp_path: Path) -> None:
    done = make_run(tmp_path, provider="forgetful:1", steps=6 * 128)
    with done.trace() as trace:
        calls = trace.calls()
    assert {call.status for call in calls} == {"unusable_answer"}
    # Once, and sent back once: a situation that failed is paused for ten iterations.
    assert len(calls) == 2 * len({call.situation_id for call in calls})
    assert done.rows[-1].advised_share == 0.0
