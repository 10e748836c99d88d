"""The graphs beside the main one: what each is made of, what it leaves behind, how it goes on."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from threading import Event as StopSignal
from typing import Any

import pytest
from rich.console import Console
from tiny_runs import ROLLOUT, make_run, tiny_config

from graphs.config import ConfigError
from graphs.evaluation import evaluate_run
from graphs.events import Event, IterationDone
from graphs.registry import build_graph
from graphs.run import resume
from graphs.views.listings import run_row
from graphs.views.results import print_summary
from rl.runfolder import Summary, list_runs
from rl.student import load_student

pytestmark = pytest.mark.usefixtures("one_thread")

CORRIDOR = "toy_task:Corridor"
TASKS = ["SimpleDoorKey", "LavaDoorKey", "ColoredDoorKey", "DivergentDoorKey"]


GRAPHS = ["student_only", "hierarchical"]


def capture_summary(summary: Summary) -> str:
    console = Console(file=StringIO(), width=100)
    print_summary(console, "runs/some", summary)
    file = console.file
    assert isinstance(file, StringIO)
    return file.getvalue()


def nodes_of(graph: str) -> set[str]:
    return {node for node in build_graph(graph).get_graph().nodes if not node.startswith("__")}


class TestStudentOnly:
    def test_no_llm_node_is_in_it(self) -> None:
        assert nodes_of("student_only") == {"collect", "learner", "assess"}

    def test_it_learns_what_a_run_without_a_teacher_learns(self, tmp_path: Path) -> None:
        """The schedule `off` of the main graph and this one are the same learner."""
        alone = make_run(tmp_path / "alone", graph="student_only")
        off = make_run(tmp_path / "off", weaning__schedule="off")
        assert alone.figures() == off.figures()
        assert alone.folder.student.read_bytes() == off.folder.student.read_bytes()

    def test_nobody_is_asked_and_nobody_named(self, tmp_path: Path) -> None:
        run = make_run(tmp_path, graph="student_only")
        summary = run.summary
        assert (summary.provider, summary.teacher, summary.llm.calls) == ("none", None, 0)
        assert summary.student is not None
        assert not run.cache.exists()
        (entry,) = list_runs(tmp_path)
        assert run_row(entry)["provider"] == "none"


class TestHierarchical:
    def test_it_has_the_nodes_of_the_main_graph(self) -> None:
        assert nodes_of("hierarchical") == nodes_of("teacher_student")

    def test_it_counts_primitive_steps(self, tmp_path: Path) -> None:
        """A rollout is a number of choices; what they took in steps is what counts."""
        run = make_run(tmp_path, graph="hierarchical", env=CORRIDOR, steps=900)
        (one, *_, last) = run.rows
        assert one.env_steps > ROLLOUT
        assert last.env_steps == run.summary.env_steps >= 900
        assert one.advised_share is not None
        assert one.advised_share > 0.9
        student = load_student(run.path)
        assert student.num_actions == student.spec.slots == 7

    def test_eval_lets_the_student_pick_options_too(self, tmp_path: Path) -> None:
        run = make_run(tmp_path, graph="hierarchical", env=CORRIDOR)
        result = evaluate_run(run.path, 5)
        assert run.summary.student is not None
        assert result.student.mean_length == run.summary.student.mean_length


class TestGoingOn:
    @pytest.mark.parametrize("graph", GRAPHS)
    def test_a_run_that_was_stopped_ends_as_the_unbroken_one(
        self, tmp_path: Path, graph: str
    ) -> None:
        options = {"graph": graph, "env": CORRIDOR, "steps": 1500, "checkpoint_every": 2}
        unbroken = make_run(tmp_path / "unbroken", **options)
        stop = StopSignal()

        def after_two(event: Event) -> None:
            if isinstance(event, IterationDone) and event.row["iteration"] == 2:
                stop.set()

        broken = make_run(tmp_path / "broken", after_two, stop, **options)
        assert broken.summary.status == "interrupted"
        summary = resume(broken.path)
        counts = ("llm_calls", "cache_hits")
        assert broken.figures(*counts) == unbroken.figures(*counts)
        assert len(broken.rows) > 2
        assert (summary.student, summary.teacher) == (
            unbroken.summary.student,
            unbroken.summary.teacher,
        )


class TestEverywhere:
    @pytest.mark.parametrize("env", TASKS)
    @pytest.mark.parametrize("graph", GRAPHS)
    def test_every_graph_runs_on_every_task(self, tmp_path: Path, graph: str, env: str) -> None:
        small = {"num_envs": 2, "evaluation__final_episodes": 1}
        learning = {"steps": 16, "ppo__num_steps": 8}
        run = make_run(tmp_path, graph=graph, env=env, **small, **learning)
        assert run.summary.status == "finished"
        assert (run.summary.graph, run.summary.env) == (graph, env)
        out = capture_summary(run.summary)
        assert env in out


class TestFittingTheGraph:
    """A field that means nothing in the graph of the run is refused, in one line."""

    @pytest.mark.parametrize(
        ("graph", "field", "value"),
        [
            ("student_only", "provider", "openai:some-model"),
            ("student_only", "base_url", "http://localhost:1/v1"),
            ("student_only", "teacher__samples", 3),
            ("student_only", "weaning__schedule", "constant"),
            ("teacher_student", "hierarchical__max_option_steps", 5),
        ],
    )
    def test_what_means_nothing_is_refused(
        self, tmp_path: Path, graph: str, field: str, value: Any
    ) -> None:
        with pytest.raises(ConfigError) as raised:
            tiny_config(tmp_path, graph=graph, **{field: value})
        key = field.replace("__", ".")
        line = str(raised.value)
        assert line.startswith(f"{key} = {value!r}: means nothing in the graph {graph}; allowed: ")
        assert "\n" not in line

    def test_what_it_has_no_teacher_anyhow_for_is_allowed(self, tmp_path: Path) -> None:
        assert tiny_config(tmp_path, graph="student_only", weaning__schedule="off")

    def test_an_unknown_graph_is_one_line_too(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="unknown graph 'nosuch'"):
            tiny_config(tmp_path, graph="nosuch")
