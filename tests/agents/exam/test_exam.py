"""The teacher's exam: its situations are real, its marks are right, its table compares."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from helpers.openai_server import OpenAIServer, plans, rejects, status, talk, teach
from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.exam.exam import Item, ask, items
from tutelage.agents.planner.planner import Planner
from tutelage.agents.providers.make import make_chat_model
from tutelage.graphs.analysis.exams import ALL, contenders, examine, scores, selected
from tutelage.graphs.config.config import ConfigError, make_config
from tutelage.prompts.library import SHIPPED, PromptLibrary
from tutelage.rl.minigrid.script import SituationFields, candidates
from tutelage.rl.minigrid.task import GridTask
from tutelage.rl.tasks.options import PADDING, Option, Plan
from tutelage.rl.tasks.registry import make_task

FOUR = ("SimpleDoorKey", "LavaDoorKey", "ColoredDoorKey", "DivergentDoorKey")
TypeIn = Callable[..., CompletedProcess[bytes]]


def grid(name: str) -> GridTask:
    task = make_task(name, 7)
    assert isinstance(task, GridTask)
    return task


def of_task(name: str) -> list[Item]:
    return [item for item in items() if item.task == name]


def plan(*steps: str) -> Plan:
    """A plan from texts such as `pick_up(red key)`."""
    pairs = [step.rstrip(")").split("(") for step in steps]
    return tuple(Option(name, target or None) for name, target in pairs)


TASKS = tuple(dict.fromkeys(item.task for item in items()))


# --- the situations


def test_there_are_enough_and_none_twice() -> None:
    assert len(items()) >= 60
    assert set(FOUR) <= set(TASKS)
    assert len({(item.task, item.text) for item in items()}) == len(items())
    assert all(item.why.strip() and item.sensible for item in items())


@pytest.mark.parametrize("name", TASKS)
def test_each_text_is_what_the_task_writes_and_each_plan_is_on_offer(name: str) -> None:
    task = grid(name)
    for item in of_task(name):
        situation_id = task.read(item.text)
        assert task.describe(situation_id) == item.text
        offered = set(task.options(situation_id))
        for sensible in item.sensible:
            assert set(sensible) <= offered
            # Nothing in it is passed over, so it is the shortest form of itself.
            assert task.carried_out(item.text, sensible) == sensible


@pytest.mark.parametrize("name", TASKS)
def test_real_episodes_pass_through_them_and_their_first_steps_can_be_done(name: str) -> None:
    """What random play of sensible and other options meets: no text is unknown, most are met."""
    task, num_envs = grid(name), 24
    known = {task.read(item.text): item for item in of_task(name)}
    met: dict[int, int] = defaultdict(int)
    done: dict[tuple[int, Plan], int] = defaultdict(int)
    rng = np.random.default_rng(0)
    envs = task.make_envs(num_envs, "train", seed=5)
    envs.reset()
    held: list[tuple[int, Option]] = [(-1, Option("explore"))] * num_envs
    for _ in range(120):
        states = envs.states()
        situation_ids = task.situation_ids(states).tolist()
        options = np.full((num_envs, 4), PADDING, dtype=np.int64)
        for row, situation_id in enumerate(situation_ids):
            firsts = list(dict.fromkeys(p[0] for p in known[situation_id].sensible))
            options[row, : len(firsts)] = [task.encode(first) for first in firsts]
            if held[row][0] != situation_id or rng.random() < 0.03:
                held[row] = (situation_id, _some_option(task, situation_id, rng))
            options[row, 3] = task.encode(held[row][1])
        carried = task.act(options, states)
        can = carried.feasible & ~carried.finished
        for row, situation_id in enumerate(situation_ids):
            met[situation_id] += 1
            for column, sensible in enumerate(known[situation_id].sensible):
                done[situation_id, sensible] += bool(can[row, column])
        probs = carried.targets[:, 3]
        drawn = np.where(probs.any(axis=1), probs.argmax(axis=1), rng.integers(3, size=num_envs))
        stray = rng.choice(5, num_envs, p=[0.2, 0.2, 0.2, 0.2, 0.2])
        envs.step(np.where(rng.random(num_envs) < 0.15, stray, drawn).astype(np.int64))
    envs.close()
    assert len(met) >= 0.5 * len(known)
    for (situation_id, sensible), times in done.items():
        # A thing may lie in the way for a while; where the way hangs on what cannot be told,
        # as behind a door that was shut again, several plans are sensible.
        if met[situation_id] >= 20 and len(known[situation_id].sensible) == 1:
            assert times >= 0.7 * met[situation_id], (task.describe(situation_id), sensible)


def _some_option(task: GridTask, situation_id: int, rng: np.random.Generator) -> Option:
    """An option that leads somewhere; opening is rare where it would end the episode."""
    offered = task.options(situation_id)
    weights = np.array([0.3 if option.name == "open" else 1.0 for option in offered])
    return offered[int(rng.choice(len(offered), p=weights / weights.sum()))]


def test_what_is_no_situations_text_is_refused() -> None:
    task, good = grid(FOUR[0]), of_task(FOUR[0])[0].text
    for text in ("", good + "\n", good.replace("nothing", "a cat"), good.replace("yes", "maybe")):
        with pytest.raises(ValueError, match="no situation's text"):
            task.read(text)
    with pytest.raises(ValueError, match="no situation's text"):
        task.read(good.replace("carrying: nothing", "carrying: red door (open)"))


# --- the marks


BOTH = "mission: open the door\ncarrying: {}\nseen: {}; blue door (locked)\nunexplored: {}"


@pytest.mark.parametrize(
    ("carrying", "seen", "given", "kept"),
    [
        ("nothing", "blue key", ["open(blue door)", "pick_up(blue key)"], ["pick_up(blue key)"]),
        ("nothing", "blue key", ["go_to(blue key)", "pick_up(blue key)"], ["pick_up(blue key)"]),
        ("nothing", "blue key", ["go_to(blue key)"], ["go_to(blue key)"]),
        (
            "nothing",
            "blue key",
            ["go_to(blue door)", "pick_up(blue key)"],
            ["go_to(blue door)", "pick_up(blue key)"],
        ),
        ("blue key", "red key", ["pick_up(red key)", "open(blue door)"], ["open(blue door)"]),
        ("blue key", "red key", ["go_to(blue door)", "open(blue door)"], ["open(blue door)"]),
        ("red key", "blue key", ["open(blue door)", "explore()"], ["explore()"]),
        ("nothing", "blue key", ["drop()", "drop()"], []),
    ],
)
def test_only_what_can_be_done_counts(
    carrying: str, seen: str, given: list[str], kept: list[str]
) -> None:
    text = BOTH.format(carrying, seen, "yes")
    assert grid(FOUR[0]).carried_out(text, plan(*given)) == plan(*kept)


def test_exploring_is_nothing_where_nothing_is_left() -> None:
    text = BOTH.format("nothing", "blue key", "no")
    steps = plan("explore()", "pick_up(blue key)")
    assert grid(FOUR[0]).carried_out(text, steps) == steps[1:]


def test_an_answer_is_sensible_where_a_sensible_plan_begins_it() -> None:
    item = Item("x", BOTH.format("red key", "blue key", "no"), (plan("drop()"),), "")
    task = grid(FOUR[0])
    assert item.accepts(plan("drop()", "pick_up(blue key)", "open(blue door)"), task)
    assert item.accepts(plan("pick_up(blue key)", "drop()"), task)
    assert not item.accepts(plan("go_to(blue key)", "drop()"), task)
    assert not item.accepts(plan("pick_up(blue key)"), task)
    assert not item.accepts((), task)


def test_the_offline_teachers_score() -> None:
    """At its surest it knows every answer; as it is asked by default it errs now and then."""
    asked = selected([], None)
    for settings, least in ((["teacher.temperature=0", "teacher.samples=1"], 1.0), ([], 0.94)):
        config = make_config(None, settings, {})
        (contender,) = contenders(config, [], [Path("shipped")], asked)
        total = scores(examine(contender, asked, config))[-1]
        assert total.task == ALL
        assert total.sensible >= least
        assert (total.unusable, total.failed, total.cost_usd) == (0.0, 0, 0.0)
        assert total.requests == total.situations == len(items())


def test_the_blunders_of_the_offline_teacher_are_marked_as_such() -> None:
    """What the script itself scores lowest is never sensible: the set knows right from wrong."""
    wrong = 0
    for item in items():
        task = grid(item.task)
        found = candidates(SituationFields.parse(item.text), task.options(task.read(item.text)), 5)
        assert item.accepts(found[0].plan, task)
        worst = [candidate.plan for candidate in found if candidate.score <= -4.0]
        wrong += sum(not item.accepts(blunder, task) for blunder in worst)
        assert len(item.sensible) > 1 or not any(item.accepts(blunder, task) for blunder in worst)
    assert wrong >= 20


# --- a provider, by way of the network


def marks_of(server: OpenAIServer, **settings: object) -> list[tuple[float, float]]:
    """(sensible, unusable) of SimpleDoorKey's first two situations."""
    teacher = TeacherSettings.model_validate({"samples": 2, "max_tries": 1, **settings})
    model = make_chat_model("openai:m", server.base_url, teacher)
    planner = Planner(grid("SimpleDoorKey"), PromptLibrary(), model, teacher)
    marked = ask(planner, grid("SimpleDoorKey"), of_task("SimpleDoorKey")[:2], 1)
    return [(mark.sensible, mark.unusable) for mark in marked]


def test_samples_count_in_proportion() -> None:
    """The key is in sight: taking it is sensible, and looking around no longer is."""
    takes, explores = [("pick_up", {"target": "red key"})], [("explore", {})]
    with OpenAIServer(plans(takes, explores)) as server:
        assert marks_of(server)[1] == (0.5, 0.0)


def test_a_model_that_only_talks_has_no_plan() -> None:
    with OpenAIServer(talk("Explore!", "I would explore.")) as server:
        assert marks_of(server) == [(0.0, 1.0)] * 2


def test_two_wordings_and_their_figures_side_by_side(type_in: TypeIn, tmp_path: Path) -> None:
    text = (SHIPPED / "planner_system.md").read_text("utf-8")
    (tmp_path / "planner_system.md").write_text(f"{text}\nBe brief.\n", "utf-8")
    words = ["--set", "teacher.samples=2", "--task", "SimpleDoorKey", "--limit", "3"]
    with OpenAIServer(rejects("n", teach())) as server:
        done = type_in(
            *("prompts", "try", "--provider", "openai:m", "--base-url", server.base_url),
            *("--prompts", "shipped", "--prompts", tmp_path, "--json", *words),
            *("--set", "teacher.usd_per_million_prompt_tokens=1"),
            *("--set", "teacher.usd_per_million_completion_tokens=2"),
        )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["situations"] == 3
    one, other = told["contenders"]
    assert (one["name"], other["name"]) == ("shipped", str(tmp_path))
    assert one["prompts"]["planner_system"] == str(SHIPPED / "planner_system.md")
    assert other["prompts"]["planner_system"] == str(tmp_path / "planner_system.md")
    for contender in (one, other):
        task, total = contender["scores"]
        assert (task["task"], total["task"]) == ("SimpleDoorKey", "all")
        assert total["situations"] == 3
        assert total["requests"] >= 6
        assert total["latency_s"] > 0
        tokens = total["prompt_tokens"] + 2 * total["completion_tokens"]
        assert total["cost_usd"] == pytest.approx(tokens / 1e6)
    brief = ["Be brief." in str(request.body["messages"]) for request in server.requests]
    assert min(brief.count(True), brief.count(False)) >= 6
    assert brief == sorted(brief), "one contender after the other"


def test_the_table_and_the_mistakes_are_for_people(type_in: TypeIn) -> None:
    done = type_in("prompts", "try", "--limit", "15", "--wrong", "--set", "teacher.temperature=2")
    assert done.returncode == 0, done.stderr
    out = done.stdout.decode()
    for task in (*TASKS, "all"):
        assert task in out
    assert re.search(r"MiniGrid-DoorKey-8x8-v0 +3 +73\.3 %", out)
    assert re.search(r"all +15 +94\.7 %", out)
    mistakes = out[out.index("not sensible") :].splitlines()
    assert [line.strip() for line in mistakes if line.strip()] == [
        "not sensible",
        "MiniGrid-DoorKey-8x8-v0, 20.0 % sensible",
        "mission: use the key to open the door and then get to the goal",
        "carrying: nothing",
        "seen: yellow key",
        "unexplored: yes",
        "80.0 %  explore(), pick_up(yellow key)",
        "sensible  pick_up(yellow key)",
        "The only key will be needed; taking it along now is never later than coming back for it.",
    ]
    assert "\x1b" not in out


def test_a_provider_that_is_not_there_ends_it_at_once(type_in: TypeIn) -> None:
    with OpenAIServer(status(401, "who are you")) as server:
        done = type_in(
            *("prompts", "try", "--provider", "openai:m", "--base-url", server.base_url),
        )
        assert len(server.requests) == 1
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert "provider 'openai:m' cannot be tried (refused)" in line


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--task", "Chess"], "no situations of task 'Chess' are known; allowed: SimpleDoorKey"),
        (["--provider", "offline", "--provider", "offline"], "--provider offline is given twice"),
        (["--prompts", "nowhere"], "nowhere: not a readable folder"),
        (["--limit", "0"], "--limit"),
        (["--set", "teacher.lookups=objects"], "teacher.lookups: the situations are asked"),
    ],
)
def test_what_cannot_be_tried_is_reported_in_a_line(
    type_in: TypeIn, words: list[str], problem: str
) -> None:
    done = type_in("prompts", "try", *words)
    assert done.returncode == 2
    assert problem in done.stderr.decode()


def test_a_limit_takes_from_every_task() -> None:
    taken = selected([], len(TASKS))
    assert [item.task for item in taken] == list(TASKS)
    assert selected(["LavaDoorKey"], 2) == of_task("LavaDoorKey")[:2]
    assert selected([], None) == list(items())
    with pytest.raises(ConfigError):
        selected(["nope"], 1)
