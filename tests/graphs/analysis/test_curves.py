"""Learning curves: the numbers behind them, and what is drawn, in a file and in the terminal."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from helpers.finished_runs import ITERATIONS, STEPS, finished_run, row_of
from tutelage.graphs.analysis.curves import INTERVAL, METRICS, Panel, panels_of
from tutelage.graphs.config.config import ConfigError
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.terminal.app import app
from tutelage.rl.rollouts.statistics import t_interval


def seeds(folder: Path, count: int = 3, **settings: Any) -> list[Path]:
    return [
        finished_run(folder / f"{'-'.join(settings)}{seed}", seed, settings=settings)
        for seed in range(count)
    ]


def panel_of(paths: Sequence[Path], metric: str, x: str = "env_steps") -> Panel:
    (panel,) = panels_of(paths, [metric], x)
    return panel


def test_a_curve_is_the_mean_over_seeds_with_students_interval(tmp_path: Path) -> None:
    (curve,) = panel_of(seeds(tmp_path), "success").curves
    assert curve.x.tolist() == [200, 400, 600]
    for place, share in enumerate((1 / 3, 2 / 3, 1.0)):
        values = [share - 0.01 * seed for seed in range(3)]
        low, high = t_interval(values) or (0, 0)
        assert curve.mean[place] == pytest.approx(np.mean(values))
        assert curve.low[place] == pytest.approx(low)
        assert curve.high[place] == pytest.approx(min(high, 1.0))
    assert curve.seeds == 3


def test_settings_are_curves_of_their_own(tmp_path: Path) -> None:
    paths = [*seeds(tmp_path, 2), *seeds(tmp_path, 1, env="LavaDoorKey")]
    panels = panels_of(paths)
    assert [panel.title for panel in panels] == [title for _, title in METRICS.values()]
    for panel in panels:
        assert [c.name for c in panel.curves] == ["env=SimpleDoorKey", "env=LavaDoorKey"]
        assert [c.number for c in panel.curves] == [0, 1]


def test_one_seed_has_no_band(tmp_path: Path) -> None:
    panel = panel_of(seeds(tmp_path, 1), "success")
    assert not panel.banded
    assert np.isnan(panel.curves[0].low).all()


def test_a_seed_counts_only_where_it_was(tmp_path: Path) -> None:
    """One that stopped early says nothing of later; between its points it is a straight line."""
    long = finished_run(tmp_path / "long", 0)
    short = RunFolder.create(tmp_path / "short")
    short.write_config({"graph": "teacher_student", "env": "SimpleDoorKey", "seed": 1})
    for iteration in (1, 3):
        short.append_metrics({**row_of(iteration, 1), "train_return": float(iteration)})
    (curve,) = panel_of([long, short.path], "return").curves
    own = [0.8 * (i + 1) / ITERATIONS for i in range(ITERATIONS)]
    expected = [(own[0] + 1) / 2, (own[1] + 2) / 2, (own[2] + 3) / 2, *own[3:]]
    assert curve.x.tolist() == [STEPS * (i + 1) for i in range(ITERATIONS)]
    assert curve.mean == pytest.approx(expected)
    assert np.isnan(curve.low).tolist() == [False] * 3 + [True] * 3


def test_seconds_may_be_along_the_axis(tmp_path: Path) -> None:
    panel = panel_of(seeds(tmp_path, 1), "train_success", "wall_s")
    assert panel.x_title == "seconds"
    assert panel.curves[0].x.tolist() == [2.0 * (i + 1) for i in range(ITERATIONS)]


def test_the_steps_of_the_teacher_check_may_be_along_the_axis(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.write_config({"graph": "teacher_student", "env": "SimpleDoorKey", "seed": 1})
    for iteration in (1, 2):
        folder.append_metrics({**row_of(iteration, 1), "trial_steps": 1000 * iteration})
    panel = panel_of([folder.path], "train_success", "total")
    assert panel.x_title == "total steps, with the teacher check"
    assert panel.curves[0].x.tolist() == [1000 + STEPS, 2000 + 2 * STEPS]


@pytest.mark.parametrize(
    ("metrics", "x", "says"),
    [
        (["nope"], "env_steps", "'nope'.*success.*explained_variance"),
        (["iteration"], "env_steps", "'iteration'"),
        ([], "steps", "'steps'.*env_steps, total, wall_s"),
        (["entropy"], "env_steps", "nothing to draw"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(
    tmp_path: Path, metrics: list[str], x: str, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        panels_of(seeds(tmp_path, 1), metrics, x)


class TestDrawn:
    def invoke(self, *arguments: str | Path, columns: int = 120) -> Result:
        runner = CliRunner(env={"COLUMNS": str(columns)})
        return runner.invoke(app, ["runs", "plot", *map(str, arguments)])

    @pytest.mark.parametrize("columns", [40, 80, 100, 131])
    def test_the_terminals_width_is_kept_and_used(self, tmp_path: Path, columns: int) -> None:
        finished_run(tmp_path / "run", 0)
        shown = self.invoke(tmp_path, columns=columns).output
        widest = max(map(len, shown.splitlines()))
        assert columns - 8 <= widest <= columns
        for _, title in METRICS.values():
            assert title in shown

    def test_a_rising_line_rises(self, tmp_path: Path) -> None:
        finished_run(tmp_path / "run", 0)
        lines = self.invoke(tmp_path, "--metric", "train_success").output.splitlines()
        drawn = [line for line in lines if "┤" in line or "│" in line]
        columns = [
            max((i for i, c in enumerate(line) if 0x2800 < ord(c) < 0x2900), default=None)
            for line in drawn
        ]
        reached = [c for c in columns if c is not None]
        assert len(reached) >= 8
        assert reached == sorted(reached, reverse=True)
        (ticks,) = [line.split() for line in lines if line.rstrip().endswith("600")]
        assert ticks == ["0", "300", "600"]

    def test_an_interval_is_dotted_where_there_is_one(self, tmp_path: Path) -> None:
        one, *others = seeds(tmp_path)
        assert "·" not in self.invoke(one, "--metric", "success").output
        shown = self.invoke(one, *others, "--metric", "success").output
        assert "·" in shown
        assert INTERVAL in shown

    def test_colour_is_for_terminals_that_want_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each curve has its own; NO_COLOR leaves the shapes."""
        paths = [*seeds(tmp_path, 1), *seeds(tmp_path, 1, env="LavaDoorKey")]
        assert "\x1b" not in self.invoke(*paths).output
        monkeypatch.setenv("FORCE_COLOR", "1")
        coloured = self.invoke(*paths).output
        assert "\x1b[36m" in coloured
        assert "\x1b[33m" in coloured
        monkeypatch.setenv("NO_COLOR", "1")
        assert not re.search("\x1b\\[3[0-9]m", self.invoke(*paths).output)

    @pytest.mark.parametrize(("ending", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
    def test_files_are_pictures(self, tmp_path: Path, ending: str, magic: bytes) -> None:
        paths = seeds(tmp_path, 2)
        file = tmp_path / "new folder" / f"curves.{ending}"
        done = self.invoke(*paths, "--out", file, "--metric", "success")
        assert done.exit_code == 0, done.output
        assert f"wrote {file}" in done.output.replace("\n", "")
        assert file.read_bytes().startswith(magic)
        if ending == "svg":
            assert file.read_text("utf-8").count("<path") > 10

    def test_other_files_are_refused_before_anything_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text("damaged")
        done = self.invoke(tmp_path, "--out", "curves.pdf")
        assert isinstance(done.exception, ConfigError)
        assert ".png or .svg" in str(done.exception)

    def test_without_matplotlib_it_says_what_to_install(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        done = self.invoke(*seeds(tmp_path, 1), "--out", tmp_path / "a.png")
        assert 'pip install "tutelage[plots]"' in str(done.exception)
        assert self.invoke(tmp_path).exit_code == 0

    def test_json_has_the_points_beside_a_file(self, tmp_path: Path) -> None:
        done = self.invoke(*seeds(tmp_path, 1), "--json", "--out", tmp_path / "a.svg")
        assert json.loads(done.stdout)["panels"]
        assert done.stderr == f"wrote {tmp_path / 'a.svg'}\n"

    def test_json_has_the_points(self, tmp_path: Path) -> None:
        shown = json.loads(self.invoke(*seeds(tmp_path, 1), "--json").stdout)
        success = shown["panels"][0]["curves"][0]
        assert success["x"] == [200, 400, 600]
        assert success["low"] == [None, None, None]

    def test_text_of_a_stranger_is_only_text(self, tmp_path: Path) -> None:
        paths = [*seeds(tmp_path, 1), *seeds(tmp_path, 1, provider="\x1b[31m[bold]$x^2$")]
        shown = self.invoke(*paths)
        assert "\x1b" not in shown.output
        assert "[bold]$x^2$" in shown.output
        assert self.invoke(*paths, "--out", tmp_path / "a.svg").exit_code == 0
