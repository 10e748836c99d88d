"""The adapter keeps the promises of the seam: numbers at first sight, options, resume."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tutelage
from helpers.gym_tasks import ALL, Cab, Car, DialTask, Pole, SignTask, random_actions
from tutelage import GymTask, Option, OptionStep
from tutelage.rl.gymnasium.task import GymnasiumTask
from tutelage.rl.tasks.base import Episode, ListsOptions, Noted, Remembers, Task
from tutelage.rl.tasks.options import PADDING
from tutelage.rl.tasks.registry import make_task
from tutelage.rl.tasks.scripts import Scripted, script_of
from tutelage.rl.tasks.wrappers import find_ability, missing_from

each_task = pytest.mark.parametrize("kind", ALL)


def met(task: GymnasiumTask, steps: int = 30) -> Any:
    """The states of a few random steps, after their situations were numbered."""
    envs = task.make_envs(4, "train", 5)
    envs.reset()
    rng = np.random.default_rng(0)
    states = []
    for _ in range(steps):
        states.append(envs.states()[:])
        envs.step(random_actions(task, envs, rng))
    return states[0].concat(states)


class TestSituations:
    @each_task
    def test_ids_and_texts_are_each_others_inverse(self, kind: type[GymTask]) -> None:
        task = kind().as_task()  # type: ignore[call-arg]
        ids = np.unique(task.situation_ids(met(task))).tolist()
        texts = [task.describe(i) for i in ids]
        assert [task.read(text) for text in texts] == ids
        assert len(set(texts)) == len(texts)
        assert ids == list(range(len(ids)))

    def test_a_foreign_text_is_numbered_at_first_sight(self) -> None:
        task = Pole().as_task()
        number = task.read("pole leans: nowhere")
        assert task.describe(number) == "pole leans: nowhere"
        with pytest.raises(KeyError):
            task.describe(number + 1)

    @pytest.mark.parametrize("text", ["", " \n", "\ud800"])
    def test_what_is_no_text_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="no text"):
            Pole().as_task().read(text)

    def test_the_order_of_states_does_not_matter(self) -> None:
        task = Cab().as_task()
        states = met(task)
        order = np.random.default_rng(0).permutation(len(states))
        assert (task.situation_ids(states)[order] == task.situation_ids(states[order])).all()


class TestOptions:
    @each_task
    def test_each_does_what_the_class_says(self, kind: type[GymTask]) -> None:
        definition = kind()  # type: ignore[call-arg]
        task = definition.as_task()
        states = met(task)
        ids = task.situation_ids(states).tolist()
        offered = [task.options(i) for i in ids]
        codes = np.array([[task.encode(o) for o in options] + [PADDING] for options in offered])
        done = task.act(codes, states)
        assert done.targets.shape == (*codes.shape, task._actions.size)
        assert not done.feasible[:, -1].any()
        assert not done.targets[:, -1].any()
        for row, state in enumerate(states.rows()):
            for place, option in enumerate(offered[row]):
                step = definition.run_option(option, *state.handed_on())
                assert done.feasible[row, place] == (step.action is not None or bool(step.probs))
                assert done.finished[row, place] == step.finished
                assert done.targets[row, place].any() == done.feasible[row, place]

    def test_options_that_plans_share_are_run_once(self) -> None:
        calls = []

        class Counting(Pole):
            def run_option(self, option: Option, obs: Any, info: Any) -> OptionStep:
                calls.append(option)
                return super().run_option(option, obs, info)

        task = Counting().as_task()
        states = met(task, 1)
        task.situation_ids(states)
        left, right = map(task.encode, task.options(0))
        done = task.act(np.array([[left, right, left, PADDING, left]] * 4), states)
        assert len(calls) == 8
        assert (done.targets[:, [0, 2, 4]] == [1, 0]).all()
        assert done.feasible.tolist() == [[True, True, True, False, True]] * 4

    def test_unknown_ones_have_no_code(self) -> None:
        task = Pole().as_task()
        with pytest.raises(ValueError, match="was on offer in no situation"):
            task.encode(Option("left"))
        task.options(task.read("pole leans: left"))
        assert [task.encode(Option("left")), task.encode(Option("right"))] == [0, 1]
        with pytest.raises(KeyError):
            task.act(np.array([[7]]), met(task, 1)[:1])

    def test_help_is_handed_on_and_is_no_part_of_the_code(self) -> None:
        class Helpful(Pole):
            def options(self, situation: str) -> list[Option]:
                return [Option("left", help=f"When {situation}.")]

        task = Helpful().as_task()
        helps = [task.options(task.read(text))[0].help for text in ("a", "b")]
        assert helps == ["When a.", "When b."]
        assert task.encode(Option("left")) == 0


class TestWhatIsOffered:
    @each_task
    def test_it_is_a_task(self, kind: type[GymTask]) -> None:
        task = kind().as_task("mine")  # type: ignore[call-arg]
        assert missing_from(task, Task) == []
        assert missing_from(task, Remembers) == missing_from(task, Noted) == []
        assert task.name == "mine"
        assert task.scored
        assert task.normalise
        assert task.masks_actions == (kind is Cab)
        assert (
            task.max_episode_steps == {Pole: 500, Cab: 200, Car: 40, DialTask: 6, SignTask: 9}[kind]
        )

    def test_a_script_and_a_list_of_options_only_where_they_are_written(self) -> None:
        with_them, without = SignTask().as_task(), Pole().as_task()
        script = script_of(with_them)
        assert script is not None
        offered = with_them.options(with_them.read("sign: x"))
        (candidate,) = script.candidates("sign: x", offered, 3)
        assert candidate.plan == (Option("obey"),)
        assert find_ability(with_them, ListsOptions) is not None
        assert find_ability(with_them, Scripted) is not None
        assert script_of(without) is None
        assert find_ability(without, ListsOptions) is None

    def test_names_of_actions(self) -> None:
        class Named(Pole):
            action_names = ("push left", "push right")

        assert Named().as_task().action_names == ("push left", "push right")
        assert SignTask().as_task().action_names == ("5", "6", "7")
        assert DialTask().as_task().action_names == ("part 0", "part 1")
        assert Car().as_task().action_names == ("dimension 0",)

    def test_success(self) -> None:
        task = Pole().as_task()
        assert task.success(Episode(1.0, 3, True, False))
        assert not task.success(Episode(0.0, 3, True, False))
        assert not task.success(Episode(1.0, 3, False, True))
        assert DialTask().as_task().success(Episode(0.0, 1, True, False, {"hits": 2}))

    def test_pictures_are_short(self) -> None:
        task = SignTask().as_task()
        lines = task.picture(met(task, 1), 0).splitlines()
        assert any(line.startswith("sign: ") for line in lines)
        assert "picture: uint8 [9, 8]" not in lines  # it has 72 numbers
        assert len(Pole().as_task().picture(met(Pole().as_task(), 1), 0)) < 80

    def test_the_class_is_found_by_its_name(self) -> None:
        made = make_task("helpers.gym_tasks:Pole", None)
        assert isinstance(made, GymnasiumTask)
        assert made.name == "Pole"
        assert make_task("helpers.gym_tasks:Pole", None, arguments={"workers": 1}) is not None
        assert {"GymTask", "Option", "OptionStep"} <= set(tutelage.__all__)


class TestResume:
    @each_task
    def test_numbers_are_found_again(self, kind: type[GymTask]) -> None:
        task, fresh = kind().as_task(), kind().as_task()  # type: ignore[call-arg]
        states = met(task)
        ids = task.situation_ids(states)
        codes = [[task.encode(o) for o in task.options(i)] for i in ids.tolist()]
        record = json.loads(json.dumps(task.snapshot(), allow_nan=False))
        fresh.read("not met before")
        fresh.restore(record)
        assert fresh.snapshot() == record
        backwards = states[np.arange(len(states))[::-1]]
        assert (fresh.situation_ids(backwards)[::-1] == ids).all()
        first, second = task.act(np.array(codes), states), fresh.act(np.array(codes), states)
        assert (first.targets == second.targets).all()
        assert [[fresh.encode(o) for o in fresh.options(i)] for i in ids.tolist()] == codes

    @pytest.mark.parametrize(
        "change",
        [
            lambda record: record.pop("options"),
            lambda record: record.pop("situations"),
            lambda record: record.update(situations="left"),
            lambda record: record.update(situations=[3]),
            lambda record: record.update(situations=[""]),
            lambda record: record.update(situations=["left", "\ud800"]),
            lambda record: record.update(options=[["a", "\udfff"]]),
            lambda record: record.update(situations=["a", "a"]),
            lambda record: record.update(situations={"a": 1}),
            lambda record: record.update(options=[["a"]]),
            lambda record: record.update(options=[["a", None, ""]]),
            lambda record: record.update(options=[["a", 3]]),
            lambda record: record.update(options=[["a\n", None]]),
            lambda record: record.update(options=[["a", None], ["a", None]]),
            lambda record: record.update(options=None),
        ],
    )
    def test_a_strangers_record_is_refused(self, change: Callable[[Any], None]) -> None:
        task = Pole().as_task()
        task.options(task.read("pole leans: left"))
        before = task.snapshot()
        record = task.snapshot()
        change(record)
        with pytest.raises((KeyError, TypeError, ValueError)):
            task.restore(record)
        assert task.snapshot() == before

    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
        max_leaves=8,
    )

    @given(json_values, json_values)
    def test_whatever_is_restored_can_be_saved(self, situations: Any, options: Any) -> None:
        task = Pole().as_task()
        try:
            task.restore({"situations": situations, "options": options})
        except (KeyError, TypeError, ValueError):
            assert task.snapshot() == {"situations": [], "options": []}
        else:
            assert task.snapshot() == {"situations": situations, "options": options}
