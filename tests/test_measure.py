"""docs/measure.py: its statistics, its stand-ins for weak models, and what it prints."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.tiny_runs import ROOT
from tutelage.agents.providers.replay import Recording
from tutelage.rl.minigrid.script import GridScript
from tutelage.rl.tasks.options import Plan
from tutelage.rl.tasks.registry import make_task


@cache
def load() -> ModuleType:
    """The script, as a module."""
    spec = importlib.util.spec_from_file_location("measure_docs", ROOT / "docs" / "measure.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def measure() -> ModuleType:
    return load()


def typed(measure: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["measure.py", *map(str, arguments)])
    measure.main()


# --- statistics ---


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([], []),
        ([0.03], [0.03]),
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # R: p.adjust(p, "holm")
        ([0.5, 0.9, 0.7], [1.0, 1.0, 1.0]),
        ([0.02, 0.02], [0.04, 0.04]),
    ],
)
def test_holm_is_as_in_the_books(
    measure: ModuleType, p_values: list[float], adjusted: list[float]
) -> None:
    assert measure.holm(p_values) == pytest.approx(adjusted)


@given(st.lists(st.floats(0, 1), max_size=40), st.randoms())
def test_holm_lies_between_the_p_value_and_bonferronis(p_values: list[float], rng: Any) -> None:
    measure = load()
    found = dict(zip(p_values, measure.holm(p_values), strict=True))
    for p, adjusted in found.items():
        assert min(p, 1.0) <= adjusted <= min(1.0, len(p_values) * p) + 1e-12
    in_order = [found[p] for p in sorted(found)]
    assert in_order == sorted(in_order), "a smaller one stays the smaller one"
    shuffled = rng.sample(p_values, len(p_values))
    assert measure.holm(shuffled) == [found[p] for p in shuffled]


def test_what_is_worse_in_all_seeds_has_a_small_p_value_and_what_is_alike_none(
    measure: ModuleType,
) -> None:
    ours = [0.50, 0.52, 0.49]
    assert measure._p_worse(ours, [0.80, 0.81, 0.80]) < 0.01
    assert measure._p_worse([0.80, 0.81, 0.80], ours) > 0.99
    assert measure._p_worse(ours, ours) == 1.0
    assert measure._p_worse(ours[:1], [0.8]) == 1.0, "one pair tells nothing"


def test_a_ratio_has_an_interval_from_two_seeds_on(measure: ModuleType) -> None:
    assert measure._ratio([0.5], [1.0]) == "0.500"
    found = re.fullmatch(r"0\.500 \((.*) to (.*)\)", measure._ratio([0.4, 0.6], [1.0, 1.0]))
    assert found is not None
    assert float(found[1]) <= 0.5 <= float(found[2])


# --- teachers with a weak model's faults ---

TASK = make_task("ColoredDoorKey", 7)
SEEDS = range(40)


def answers(measure: ModuleType, fault: str, seed: int, folder: Path) -> dict[str, list[str]]:
    """A recording's plans by situation, read as a run reads them: all can be carried out."""
    path = folder / f"{fault}-{seed}.jsonl"
    path.write_text("".join(measure.answers_with(fault, seed)), encoding="utf-8")
    plans = {}
    for situation, (_, answer) in Recording.read(path).answers.items():
        (plan,) = answer.advice.plans
        offered = TASK.options(TASK.read(situation))
        assert plan, situation
        assert set(plan) <= set(offered), situation
        plans[situation] = steps(plan)
    return plans


def steps(plan: Plan) -> list[str]:
    return [str(option) for option in plan]


def test_the_situations_are_all_that_there_can_be_and_are_read_as_such(
    measure: ModuleType,
) -> None:
    texts = measure._situations()
    assert len(texts) == len(set(texts)) == 2 * 2 * (4 + 2 + 2)
    assert [TASK.describe(TASK.read(text)) for text in texts] == texts


def test_without_a_fault_it_is_the_scripts_plan(measure: ModuleType, tmp_path: Path) -> None:
    plans = answers(measure, "none", 0, tmp_path)
    assert plans == answers(measure, "none", 1, tmp_path)
    for situation, plan in plans.items():
        options = list(TASK.options(TASK.read(situation)))
        best = GridScript().candidates(situation, options, 5)[0]
        assert plan == steps(best.plan)


def shares(measure: ModuleType, fault: str, folder: Path) -> dict[str, float]:
    """The share of the seeds, by situation, in which an answer is not the right one."""
    right = answers(measure, "none", 0, folder)
    wrong = [answers(measure, fault, seed, folder) for seed in SEEDS]
    assert all(set(each) == set(right) for each in wrong)
    return {s: float(np.mean([each[s] != right[s] for each in wrong])) for s in right}


def test_one_swaps_the_colours_of_the_keys_in_a_third_of_its_answers(
    measure: ModuleType, tmp_path: Path
) -> None:
    """Where the other key can be meant: both are there."""
    found = {s: share for s, share in shares(measure, "swaps", tmp_path).items() if share}
    assert all("red key" in s and "blue key" in s for s in found)
    assert len(found) >= 2
    assert np.mean(list(found.values())) == pytest.approx(1 / 3, abs=0.1)
    plans = [answers(measure, "swaps", seed, tmp_path) for seed in SEEDS]
    both = "mission: open the door\ncarrying: nothing\nseen: red key; blue key\nunexplored: no"
    picked = {step for each in plans for step in each[both] if step.startswith("pick_up")}
    assert picked == {"pick_up(red key)", "pick_up(blue key)"}


def test_one_never_opens_the_door_with_another_thing_in_sight(
    measure: ModuleType, tmp_path: Path
) -> None:
    right, shuts = (answers(measure, fault, 0, tmp_path) for fault in ("none", "shuts"))
    opening = {s for s, plan in right.items() if any(step.startswith("open") for step in plan)}
    crowded = {s for s in right if "door (locked)" in s and ";" in s}
    assert opening & crowded
    assert opening - crowded
    for situation, plan in shuts.items():
        if situation in crowded:
            assert not any(step.startswith("open") for step in plan)
        else:
            assert plan == right[situation]


def test_one_drops_the_right_key_in_a_fifth_of_its_answers(
    measure: ModuleType, tmp_path: Path
) -> None:
    found = shares(measure, "drops", tmp_path)
    carried = {s: share for s, share in found.items() if "carrying: blue key" in s}
    assert np.mean(list(carried.values())) == pytest.approx(0.2, abs=0.06)
    assert not any(share for s, share in found.items() if s not in carried)


# --- the command ---


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["levels", "NoSuchLevel"], "NoSuchLevel"),
        (["weak", "laughs"], "laughs: no such fault; known: none, swaps, shuts, drops"),
        (["wrong", "--seeds", "a"], "--seeds 'a'"),
    ],
)
def test_what_people_can_mend_is_a_line(
    measure: ModuleType,
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        typed(measure, monkeypatch, *arguments, "--folder", tmp_path / "runs")
    assert end.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_runs_that_fail_are_named_in_place_of_a_table(
    measure: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "SimpleDoorKey-linear-0").write_text("no folder", encoding="utf-8")
    tiny = ["levels", "SimpleDoorKey", "--most", "64", "--seeds", "0", "--folder", tmp_path]
    with pytest.raises(SystemExit) as end:
        typed(measure, monkeypatch, *tiny)
    assert "1 of 2 runs failed" in str(end.value.code)
    assert "SimpleDoorKey-linear-0" in str(end.value.code)
    said = capsys.readouterr().out
    assert "SimpleDoorKey-adaptive-0: finished" in said
    assert "SimpleDoorKey-linear-0: " in said
    assert "|" not in said


@pytest.mark.slow
def test_two_cheap_levels_make_a_table_and_are_not_run_again(
    measure: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = ["SimpleDoorKey", "MiniGrid-Empty-5x5-v0"]
    tiny = ["levels", *names, "--most", "256", "--seeds", "0,1", "--folder", tmp_path]
    typed(measure, monkeypatch, *tiny)
    first = capsys.readouterr().out
    assert first.count(": finished\n") == 8
    rows = re.findall(r"^\| (\S+) \| (.*) \|$", first, re.MULTILINE)
    assert [name for name, _ in rows if name in names] == names
    for name, cells in rows:
        if name in names:
            *figures, removed, p = cells.split(" | ")
            assert len(figures) == 5
            assert all(0 <= float(figure) <= 1 for figure in figures[:4])
            assert float(removed.replace(",", "")) >= 0
            assert 0 <= float(p) <= 1
    assert len(re.findall(r"Pooled difference of (area|end), adaptive minus linear: ", first)) == 2
    for run in tmp_path.iterdir():
        config = json.loads((run / "config.json").read_text("utf-8"))
        assert f"{config['env']}-{config['weaning']['schedule']}-{config['seed']}" == run.name
        assert config["steps"] == 256
    typed(measure, monkeypatch, *tiny)
    again = capsys.readouterr().out
    assert "finished" not in again
    assert first.endswith(again)
    with pytest.raises(SystemExit) as end:
        typed(measure, monkeypatch, *tiny[:4], "128", *tiny[5:])
    assert end.value.code == 2, "it holds other runs, which are not taken for these"
