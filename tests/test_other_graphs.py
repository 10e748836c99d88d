"""The graphs beside the main one: what each is made of, what it leaves behind, how it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_runs import make_run, tiny_config

from graphs.config import ConfigError
from graphs.registry import build_graph
from graphs.views.listings import run_row
from rl.runfolder import list_runs

pytestmark = pytest.mark.usefixtures("one_thread")

CORRIDOR = "toy_task:Corridor"
TASKS = ["SimpleDoorKey", "LavaDoorKey", "ColoredDoorKey", "DivergentDoorKey"]


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


class TestFittingTheGraph:
    """A field that means nothing in the graph of the run is refused, in one line."""

    @pytest.mark.parametrize(
        ("graph", "field", "value"),
        [
            ("student_only", "provider", "openai:some-model"),
            ("student_only", "base_url", "http://localhost:1/v1"),
            ("student_only", "teacher__samples", 3),
            ("student_only", "weaning__schedule", "constant"),
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
