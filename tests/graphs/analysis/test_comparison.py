"""Comparing runs: what is one setting, what is said of it, and the command line around it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from helpers.finished_runs import finished_run
from helpers.tiny_runs import IMPORTABLE, TINY, make_run, strict_json
from tutelage.agents.common.files import RunFolderError
from tutelage.graphs.analysis.comparison import compare, find_runs
from tutelage.graphs.config.config import ConfigError
from tutelage.graphs.terminal.app import app
from tutelage.rl.rollouts.statistics import (
    newcombe_interval,
    t_interval,
    welch_interval,
    wilson_interval,
)


def two_settings(folder: Path) -> list[Path]:
    """Three seeds with the task's gamma, which is not written down, two with 0.9."""
    good = [finished_run(folder / f"good{seed}", seed, 0.9 + seed / 20) for seed in range(3)]
    bad = [
        finished_run(folder / f"bad{seed}", seed, 0.5 + seed / 10, {"ppo": {"gamma": 0.9}})
        for seed in range(2)
    ]
    return [*good, *bad]


def test_runs_that_differ_only_in_their_seed_are_one_setting(tmp_path: Path) -> None:
    settings = compare(two_settings(tmp_path))["settings"]
    assert [s["seeds"] for s in settings] == [[0, 1, 2], [0, 1]]
    assert [s["differs"] for s in settings] == [{"ppo.gamma": None}, {"ppo.gamma": 0.9}]
    assert [s["name"] for s in settings] == ["gamma=none", "gamma=0.9"]


def test_a_field_that_is_left_out_has_its_default(tmp_path: Path) -> None:
    """A run of before the field was there, beside one that names it."""
    old = finished_run(tmp_path / "old", 0)
    new = finished_run(tmp_path / "new", 1, settings={"ppo": {"gae_lambda": 0.95}})
    (setting,) = compare([old, new])["settings"]
    assert setting["seeds"] == [0, 1]


@pytest.mark.parametrize(
    "settings",
    [{"cache": "elsewhere.sqlite"}, {"checkpoint_every": 3}, {"evaluation": {"final_episodes": 9}}],
)
def test_where_a_run_lies_makes_no_setting(tmp_path: Path, settings: dict[str, Any]) -> None:
    runs = [finished_run(tmp_path / "a", 0), finished_run(tmp_path / "b", 1, settings=settings)]
    assert len(compare(runs)["settings"]) == 1


def test_success_is_over_seeds_and_never_surer_than_its_episodes(tmp_path: Path) -> None:
    first, second = compare(two_settings(tmp_path))["settings"]
    over_seeds = t_interval([0.9, 0.95, 1.0])
    assert over_seeds is not None
    assert first["success"]["mean"] == pytest.approx(0.95)
    assert first["success"]["ci95"] == pytest.approx((over_seeds[0], 1.0))
    assert first["success"]["by_seed"] == pytest.approx([0.9, 0.95, 1.0])
    assert second["success"]["ci95"][0] == 0.0
    equal = [finished_run(tmp_path / f"equal{seed}", seed, 1.0) for seed in range(3)]
    (sure,) = compare(equal)["settings"]
    assert sure["success"]["ci95"] == pytest.approx(wilson_interval(3000, 3000))


def test_a_single_seed_has_an_interval_for_success_alone(tmp_path: Path) -> None:
    (setting,) = compare([finished_run(tmp_path / "run", 4, 0.9)])["settings"]
    assert setting["success"]["ci95"] == pytest.approx(wilson_interval(900, 1000))
    assert setting["return"]["ci95"] is None


def test_each_is_measured_against_the_first(tmp_path: Path) -> None:
    (row,) = compare(two_settings(tmp_path))["differences"]
    assert (row["setting"], row["against"]) == ("gamma=0.9", "gamma=none")
    welch = welch_interval([0.5, 0.6], [0.9, 0.95, 1.0])
    newcombe = newcombe_interval((1100, 2850), (2000, 3000))
    assert welch is not None
    assert row["success"]["difference"] == pytest.approx(-0.4)
    assert row["success"]["ci95"] == pytest.approx(
        (min(welch[0], newcombe[0]), max(welch[1], newcombe[1]))
    )


@pytest.mark.parametrize(
    ("rates", "others"),
    [((0.0, 0.3), (1.0, 0.6)), ((1.0, 0.9, 0.4), (0.0, 0.0, 0.5)), ((0.1,), (1.0,)), ((0,), (1,))],
)
def test_no_interval_of_success_tells_of_what_cannot_be(
    tmp_path: Path, rates: tuple[float, ...], others: tuple[float, ...]
) -> None:
    other = {"ppo": {"gamma": 0.9}}
    runs = [finished_run(tmp_path / f"a{i}", i, rate) for i, rate in enumerate(rates)]
    runs += [finished_run(tmp_path / f"b{i}", i, rate, other) for i, rate in enumerate(others)]
    found = compare(runs)
    for setting in found["settings"]:
        low, high = setting["success"]["ci95"]
        assert 0.0 <= low < high <= 1.0
        assert low <= setting["success"]["mean"] <= high
    (row,) = found["differences"]
    low, high = row["success"]["ci95"]
    assert -1.0 <= low < high <= 1.0
    assert low <= row["success"]["difference"] <= high


def test_the_steps_of_the_teacher_check_count(tmp_path: Path) -> None:
    checked = {"steps_to_95": 400, "trial_steps": 1000, "total_steps_to_95": 900}
    runs = [finished_run(tmp_path / f"{seed}", seed, evaluations=3, **checked) for seed in (0, 1)]
    (setting,) = compare(runs)["settings"]
    assert setting["env_steps"]["mean"] == 600
    assert setting["total_steps"]["by_seed"] == [1600, 1600]
    assert setting["steps_to_95"]["median"] == 400
    assert setting["total_steps_to_95"] == {"median": 900, "reached": 2, "by_seed": [900, 900]}


def test_seeds_that_never_got_there_are_the_slowest(tmp_path: Path) -> None:
    def reached(*steps: int | None) -> dict[str, Any]:
        name = "-".join(map(str, steps))
        runs = [
            finished_run(tmp_path / name / str(i), i, steps_to_95=s) for i, s in enumerate(steps)
        ]
        found: dict[str, Any] = compare(runs)["settings"][0]["steps_to_95"]
        return found

    assert reached(300, 100, None) == {"median": 300, "reached": 2, "by_seed": [300, 100, None]}
    assert reached(None, 100, None)["median"] is None


def test_an_unknown_price_makes_an_unknown_cost(tmp_path: Path) -> None:
    from helpers.finished_runs import summary_of

    llm = summary_of({"graph": "g", "env": "e", "seed": 0}, 1.0).llm.model_dump()
    runs = [
        finished_run(tmp_path / "a", 0),
        finished_run(tmp_path / "b", 1, llm={**llm, "cost_usd": None}),
    ]
    assert compare(runs)["settings"][0]["cost_usd"] is None


def test_what_is_no_evidence_is_named_and_left_out(tmp_path: Path) -> None:
    once, again = finished_run(tmp_path / "1", 0, 0.9), finished_run(tmp_path / "2", 0, 0.9)
    stopped = finished_run(tmp_path / "3", 1, None)
    found = compare([once, again, stopped])
    assert found["repeated"] == [str(again)]
    assert found["unfinished"] == [str(stopped)]
    assert found["settings"][0]["seeds"] == [0]


def test_nothing_that_ended_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no finished run .*stopped"):
        compare([finished_run(tmp_path / "stopped", 0, None)])


def test_folders_of_runs_stand_for_them(tmp_path: Path) -> None:
    runs = sorted(two_settings(tmp_path / "all"))
    assert find_runs([tmp_path / "all", runs[0]]) == runs
    assert find_runs([runs[1], tmp_path / "all"])[0] == runs[1]
    with pytest.raises(RunFolderError, match="nowhere"):
        find_runs([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunFolderError, match="not a run folder"):
        find_runs([tmp_path / "empty"])


class TestAtTheTerminal:
    def invoke(self, *arguments: str | Path, columns: int = 160) -> Result:
        return CliRunner(env={"COLUMNS": str(columns)}).invoke(app, [str(a) for a in arguments])

    def test_people_see_every_setting_and_how_sure_it_is(self, tmp_path: Path) -> None:
        two_settings(tmp_path)
        shown = self.invoke("runs", "compare", tmp_path).output
        for expected in ("gamma=none", "gamma=0.9", "95.0 %", "+40.0 %", "Wilson", "Newcombe"):
            assert expected in shown

    def test_what_cannot_be_known_is_not_denied(self, tmp_path: Path) -> None:
        """95 % takes two evaluations; where there were none, nobody failed to reach it."""
        for seed, (evaluations, steps) in enumerate([(0, None), (1, None)]):
            fields = {"evaluations": evaluations, "steps_to_95": steps}
            finished_run(tmp_path / str(seed), seed, **fields)
        shown = self.invoke("runs", "compare", tmp_path).output
        assert "not tested" in shown
        finished_run(tmp_path / "2", 2, evaluations=4, steps_to_95=None)
        assert "0 of 1" in self.invoke("runs", "compare", tmp_path).output

    def test_steps_are_shown_in_total_where_a_check_took_some(self, tmp_path: Path) -> None:
        run = finished_run(tmp_path / "plain", 0, total_steps_to_95=400)
        assert "total" not in self.invoke("runs", "compare", run).output
        fields = {"trial_steps": 156_153, "evaluations": 3, "total_steps_to_95": 9_400}
        finished_run(tmp_path / "checked", 0, **fields)
        shown = self.invoke("runs", "compare", tmp_path / "checked", columns=80).output
        for expected in ("156,753 total", "9,400 total", "with the steps of the teacher check"):
            assert expected in shown

    def test_what_was_drawn_is_told(self, tmp_path: Path) -> None:
        two_settings(tmp_path)
        file = tmp_path / "curves.svg"
        done = self.invoke("compare", tmp_path, "--plot", file, "--x", "total", "--episodes", 9)
        assert f"wrote {file}" in done.stdout.replace("\n", "")
        assert "total steps" in file.read_text("utf-8")
        again = ("compare", tmp_path, "--plot", file, "--force", "--episodes", 9)
        piped = self.invoke(*again, "--json")
        assert piped.stderr == f"wrote {file}\n"
        assert json.loads(piped.stdout)
        wrong = self.invoke("compare", tmp_path, "--plot", file, "--force", "--x", "steps")
        assert isinstance(wrong.exception, ConfigError)

    @pytest.mark.parametrize("columns", [60, 80, 110, 200])
    def test_no_line_is_wider_than_the_terminal(self, tmp_path: Path, columns: int) -> None:
        two_settings(tmp_path)
        shown = self.invoke("runs", "compare", tmp_path, columns=columns).output
        table = shown.partition("interval:")[0]
        assert max(map(len, table.splitlines())) <= columns
        assert "30.0" in table

    def test_json_is_the_comparison(self, tmp_path: Path) -> None:
        paths = two_settings(tmp_path)
        shown = json.loads(self.invoke("runs", "compare", *paths, "--json").stdout)
        assert shown == json.loads(json.dumps(compare(paths)))

    def test_text_of_a_stranger_is_only_text(self, tmp_path: Path) -> None:
        evil = "\x1b[31m[bold]\x07"
        runs = [
            finished_run(tmp_path / "a", 0),
            finished_run(tmp_path / "b", 0, settings={"provider": evil}),
        ]
        shown = self.invoke("runs", "compare", *runs).output
        assert "\x1b" not in shown
        assert "\x07" not in shown
        assert "[bold]" in shown


class TestForReal:
    """Runs of the corridor, which are made in seconds."""

    SMALL = tuple(
        f"--set={name}={value}"
        for name, value in {**TINY, "steps": 128, "cache": "plans.sqlite"}.items()
        if name != "evaluation.final_episodes"
    )

    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PYTHONPATH", IMPORTABLE)

    def compared(self, *arguments: str) -> dict[str, Any]:
        done = CliRunner().invoke(app, ["compare", *arguments, "--episodes", "6", "--json"])
        assert done.exit_code == 0, done.output
        (setting,) = json.loads(done.stdout)["settings"]
        assert setting["episodes"] == 6
        found: dict[str, Any] = setting
        return found

    def test_runs_are_made_where_there_are_none(self, tmp_path: Path) -> None:
        corridor = ["--env", "helpers.toy_task:Corridor", "--seeds", "3", *self.SMALL]
        setting = self.compared("--vary", "ppo.gamma=0.9", *corridor)
        (run,) = setting["runs"]
        assert re.fullmatch(r"runs/compare-[0-9a-f]{8}/ppo\.gamma_0\.9-seed3", run)
        summary = strict_json(tmp_path / run / "summary.json")
        assert (summary["seed"], summary["student"]["episodes"]) == (3, 6)
        assert setting["success"]["mean"] == summary["student"]["success_rate"]

    def test_a_student_that_was_tested_less_is_tested_anew(self, tmp_path: Path) -> None:
        run = make_run(tmp_path, env="helpers.toy_task:Corridor", evaluation__final_episodes=2)
        assert self.compared(str(run.path))["runs"] == [str(run.path)]
        assert strict_json(run.folder.summary)["student"]["episodes"] == 2
