"""The graphs beside the main one: what each is made of, what it leaves behind, how it goes on."""

from __future__ import annotations

import re
from contextlib import ExitStack
from functools import wraps
from io import StringIO
from pathlib import Path
from threading import Event as StopSignal
from typing import Any, Literal

import pytest
from gymnasium.spaces import Discrete
from langgraph.runtime import Runtime
from rich.console import Console

from helpers.tiny_runs import ROLLOUT, make_run, tiny_config
from tutelage.graphs.analysis.comparison import compare
from tutelage.graphs.analysis.evaluation import evaluate_run
from tutelage.graphs.analysis.watching import EpisodeViewer
from tutelage.graphs.config.config import ConfigError, make_config
from tutelage.graphs.config.events import Evaluating, Event, IterationDone
from tutelage.graphs.nodes.assess import assess
from tutelage.graphs.nodes.routes import after_training_loop
from tutelage.graphs.records.run_folder import list_runs
from tutelage.graphs.records.shapes import Summary
from tutelage.graphs.registry import build_graph, list_graphs
from tutelage.graphs.runtime.context import RunContext
from tutelage.graphs.runtime.run import resume
from tutelage.graphs.runtime.run import run as start
from tutelage.graphs.state import TeachState, Update
from tutelage.graphs.terminal.graphs import graph_shape
from tutelage.graphs.terminal.run.live import LiveProgress
from tutelage.graphs.terminal.run.summary import print_summary
from tutelage.graphs.terminal.runs.command import run_row
from tutelage.rl.policy.policy import load_student

pytestmark = pytest.mark.usefixtures("one_thread")

CORRIDOR = "helpers.toy_task:Corridor"
TASKS = ["SimpleDoorKey", "LavaDoorKey", "ColoredDoorKey", "DivergentDoorKey"]


LEARNING = ["student_only", "hierarchical", "shaped"]
NOT_LEARNING = {"graph": "teacher_only", "num_envs": None, "ppo__num_steps": None, "steps": None}
"""The options of a tiny run in which the teacher acts: what is about a student is left alone."""


def capture_summary(summary: Summary) -> str:
    console = Console(file=StringIO(), width=100)
    print_summary(console, "runs/some", summary)
    file = console.file
    assert isinstance(file, StringIO)
    return file.getvalue()


def nodes_of(graph: str) -> set[str]:
    return {node for node in build_graph(graph).get_graph().nodes if not node.startswith("__")}


@pytest.mark.parametrize("name", [info.name for info in list_graphs()])
def test_every_node_says_what_it_does(name: str) -> None:
    told = graph_shape(name)["nodes"]
    assert set(told) == nodes_of(name)
    for node, sentence in told.items():
        assert sentence.endswith("."), node


class TestStudentOnly:
    def test_no_llm_node_is_in_it(self) -> None:
        assert nodes_of("student_only") == {"training_loop", "assess"}

    def test_it_learns_what_a_run_without_a_teacher_learns(self, tmp_path: Path) -> None:
        """The schedule `off` of the main graph and this one are the same learner."""
        alone = make_run(tmp_path / "alone", graph="student_only", env=CORRIDOR)
        off = make_run(tmp_path / "off", weaning__schedule="off", env=CORRIDOR)
        assert alone.figures() == off.figures()
        assert alone.folder.student.read_bytes() == off.folder.student.read_bytes()

    def test_it_practises_until_there_is_something_to_decide(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """How many rollouts a pass through the graph takes changes nothing of what is learned."""
        passes: list[int] = []

        def counted(state: TeachState, runtime: Runtime[RunContext]) -> Update:
            passes.append(state["iteration"])
            return assess(state, runtime)

        monkeypatch.setattr("tutelage.graphs.student_only.assess", wraps(assess)(counted))
        few = {"graph": "student_only", "env": CORRIDOR, "checkpoint_every": 2}
        together = make_run(tmp_path / "together", **few, steps=5 * ROLLOUT)
        assert passes == [2, 4, 5]
        monkeypatch.setattr("tutelage.graphs.nodes.learn._PASS_S", 0.0)
        apart = make_run(tmp_path / "apart", **few, steps=5 * ROLLOUT)
        assert passes[3:] == [1, 2, 3, 4, 5]
        assert together.figures() == apart.figures()
        assert together.folder.student.read_bytes() == apart.folder.student.read_bytes()
        with together.trace() as one, apart.trace() as other:
            assert one.iterations() == other.iterations()
            assert len(one.iterations()) == 5

    def test_nobody_is_asked_and_nobody_named(self, tmp_path: Path) -> None:
        run = make_run(tmp_path, graph="student_only", env=CORRIDOR)
        summary = run.summary
        assert (summary.provider, summary.teacher, summary.llm.calls) == ("none", None, 0)
        assert summary.student is not None
        assert not run.cache.exists()
        (entry,) = list_runs(tmp_path)
        assert run_row(entry)["provider"] == "none"


class TestPractice:
    def test_those_who_watch_are_told_of_each_iteration_at_once(self, tmp_path: Path) -> None:
        """Not at the pass's end: the speed on the screen is reckoned from when they are told."""
        told: list[str] = []

        def watch(event: Event) -> None:
            if isinstance(event, IterationDone):
                told.append("iteration")
            elif isinstance(event, Evaluating) and event.done == event.episodes:
                told.append("evaluation")

        steps = {"steps": 4 * ROLLOUT, "evaluation__every": ROLLOUT}
        make_run(tmp_path, watch, graph="student_only", env=CORRIDOR, **steps)
        assert told == 4 * ["evaluation", "iteration"] + 2 * ["evaluation"]

    @pytest.mark.parametrize("graph", ["teacher_student", "shaped", "hierarchical"])
    @pytest.mark.parametrize("schedule", ["adaptive", "linear"])
    def test_it_practises_while_the_teacher_has_nothing_to_say(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, graph: str, schedule: str
    ) -> None:
        """Also what is found out, asked and unlearned in between, and when the teacher goes."""
        met: list[int] = []

        def counted(state: TeachState) -> Literal["cache", "assess"]:
            if not state["report"]:
                met.append(state["iteration"])
            return after_training_loop(state)

        monkeypatch.setattr("tutelage.graphs.nodes.routes.after_training_loop", counted)
        options: dict[str, Any] = {
            "graph": graph,
            "env": "SimpleDoorKey",
            "num_envs": 4,
            "steps": 40 * ROLLOUT,
            "weaning__schedule": schedule,
        }
        monkeypatch.setattr(
            "tutelage.rl.teaching.teacher_check._ENOUGH", 1
        )  # the trial is soon over, or it is all there is
        together = make_run(tmp_path / "together", **options)
        if schedule == "linear" and graph != "hierarchical":
            assert met, "no new situation was met while it practised"
        monkeypatch.setattr("tutelage.graphs.nodes.learn._PASS_S", 0.0)
        apart = make_run(tmp_path / "apart", **options)
        assert together.figures() == apart.figures()
        assert together.folder.student.read_bytes() == apart.folder.student.read_bytes()
        with together.trace() as one, apart.trace() as other:
            assert one.iterations() == other.iterations()
            assert one.situations() == other.situations()
            assert [e.kind for e in one.events()] == [e.kind for e in other.events()]


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
        assert student.spec.action_space == Discrete(7)
        assert student.spec.masks_actions

    def test_eval_lets_the_student_pick_options_too(self, tmp_path: Path) -> None:
        run = make_run(tmp_path, graph="hierarchical", env=CORRIDOR)
        result = evaluate_run(run.path, 5)
        assert run.summary.student is not None
        assert result.student is not None
        assert result.student.mean_length == run.summary.student.mean_length


class TestShaped:
    def test_it_has_the_nodes_of_the_main_graph(self) -> None:
        assert nodes_of("shaped") == nodes_of("teacher_student")

    def test_advice_is_reward_and_no_term_of_the_loss(self, tmp_path: Path) -> None:
        """It changes what is learned, ends with the weight, and is no imitation."""
        settings = {"env": CORRIDOR, "steps": 6 * ROLLOUT}
        shaped = make_run(tmp_path / "shaped", graph="shaped", **settings)
        alone = make_run(tmp_path / "alone", graph="student_only", **settings)
        assert shaped.rows[0].policy_loss != alone.rows[0].policy_loss
        assert shaped.rows[0].train_return == alone.rows[0].train_return
        assert shaped.summary.teacher_removed_at_step is not None
        assert shaped.rows[-1].advised_share == 0.0
        assert (shaped.rows[0].advised_share or 0.0) > 0.9


class TestTeacherOnly:
    def test_no_learner_is_in_it(self) -> None:
        assert nodes_of("teacher_only") == {"perform", "cache", "planner", "fallback", "tally"}

    def test_it_does_what_an_evaluation_of_the_teacher_does(self, tmp_path: Path) -> None:
        """Step for step, though it asks for advice as it goes."""
        settings = {"env": CORRIDOR, "evaluation__final_episodes": 120}
        acting = make_run(tmp_path / "acting", **NOT_LEARNING, **settings)
        taught = make_run(tmp_path / "taught", **settings)
        tested = evaluate_run(taught.path, 120, teacher=True).teacher
        assert tested is not None
        summary = acting.summary
        assert (summary.status, summary.student) == ("finished", None)
        assert summary.teacher == tested.result
        assert summary.env_steps == round(tested.result.mean_length * 120)
        assert summary.llm.calls > 0
        assert summary.llm.prompt_tokens > 0
        assert (acting.rows[-1].train_success, acting.rows[-1].teacher_weight) == (
            tested.result.success_rate,
            1.0,
        )
        assert not acting.folder.student.exists()
        alone = evaluate_run(acting.path, 120, teacher=True)
        assert (alone.student, alone.teacher and alone.teacher.result) == (None, tested.result)

    def test_there_is_no_student_to_test_to_watch_or_to_compare(self, tmp_path: Path) -> None:
        run = make_run(tmp_path, **NOT_LEARNING, env=CORRIDOR)
        with pytest.raises(ConfigError, match="has no student: its graph, teacher_only"):
            evaluate_run(run.path, 5)
        with ExitStack() as resources, pytest.raises(ConfigError, match="has no student"):
            EpisodeViewer(run.path, resources)
        with pytest.raises(ConfigError, match="no finished run with a student"):
            compare([run.path])
        other = make_run(tmp_path / "other", graph="student_only", env=CORRIDOR)
        compared = compare([run.path, other.path])
        assert compared["without_student"] == [str(run.path)]
        assert (compared["unfinished"], len(compared["settings"])) == ([], 1)

    def test_a_teacher_that_cannot_be_reached_ends_the_asking_and_not_the_run(
        self, tmp_path: Path
    ) -> None:
        quick = {"teacher__max_tries": 1, "teacher__backoff_s": 0, "teacher__timeout_s": 5}
        run = make_run(
            tmp_path,
            **NOT_LEARNING,
            **quick,
            env=CORRIDOR,
            provider="openai:nobody",
            base_url="http://127.0.0.1:9/v1",
        )
        assert run.summary.status == "finished"
        assert run.summary.llm.failures > 0
        assert run.rows[-1].advised_share == 0.0

    def test_what_is_shown_is_about_the_teacher(self, tmp_path: Path) -> None:
        events: list[Event] = []
        run = make_run(tmp_path, events.append, **NOT_LEARNING, env=CORRIDOR)
        out = capture_summary(run.summary)
        assert "teacher alone, held out" in out
        assert "student" not in out
        (entry,) = list_runs(tmp_path)
        assert run.summary.teacher is not None
        assert run_row(entry)["success_rate"] == run.summary.teacher.success_rate
        console = Console(file=StringIO(), width=200, force_terminal=False)
        with LiveProgress(console) as live:
            for event in events:
                live.on_event(event)
            console.print(live.panel())
        assert isinstance(console.file, StringIO)
        shown = console.file.getvalue()
        assert "5 of 5 episodes" in shown
        assert "the teacher acts" in shown

    def test_the_mean_return_stands_beside_success_where_the_task_is_scored(
        self, tmp_path: Path
    ) -> None:
        shown = {}
        for env in ("helpers.taught_tasks:TaughtCar", CORRIDOR):
            events: list[Event] = []
            folder = tmp_path / env.partition(":")[2]
            make_run(folder, events.append, env=env, evaluation__every=ROLLOUT)
            console = Console(file=StringIO(), width=200, force_terminal=False)
            with LiveProgress(console) as live:
                for event in events:
                    live.on_event(event)
                lines = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
                console.print(live.panel())
            shown[env] = lines, console.file.getvalue()  # type: ignore[attr-defined]
        car, corridor = shown.values()
        for text in car:
            assert re.search(r"held-out success *[\d.]+ %, return -?[\d.e+-]+ at \d+", text)
        for text in corridor:
            assert re.search(r"held-out success *[\d.]+ % at \d+", text)


class TestGoingOn:
    @pytest.mark.parametrize("graph", [*LEARNING, "teacher_only"])
    def test_a_run_that_was_stopped_ends_as_the_unbroken_one(
        self, tmp_path: Path, graph: str
    ) -> None:
        options: dict[str, Any] = {"graph": graph, "steps": 1500}
        if graph == "teacher_only":
            options = {**NOT_LEARNING, "evaluation__final_episodes": 250}
        options |= {"env": CORRIDOR, "checkpoint_every": 1}
        unbroken = make_run(tmp_path / "unbroken", **options)
        stop = StopSignal()

        def after_one(event: Event) -> None:
            if isinstance(event, IterationDone) and event.row["iteration"] == 1:
                stop.set()

        broken = make_run(tmp_path / "broken", after_one, stop, **options)
        assert broken.summary.status == "interrupted"
        assert len(broken.rows) == 1
        summary = resume(broken.path)
        counts = ("llm_calls", "cache_hits")
        assert broken.figures(*counts) == unbroken.figures(*counts)
        assert len(broken.rows) > 1
        assert (summary.student, summary.teacher) == (
            unbroken.summary.student,
            unbroken.summary.teacher,
        )


class TestEverywhere:
    @pytest.mark.parametrize("env", TASKS)
    @pytest.mark.parametrize("graph", [*LEARNING, "teacher_only"])
    def test_every_graph_runs_on_every_task(self, tmp_path: Path, graph: str, env: str) -> None:
        small: dict[str, Any] = {"num_envs": 2, "steps": 16, "ppo__num_steps": 8, "graph": graph}
        if graph == "teacher_only":
            small = NOT_LEARNING
        run = make_run(tmp_path, env=env, evaluation__final_episodes=1, **small)
        assert run.summary.status == "finished"
        assert (run.summary.graph, run.summary.env) == (graph, env)
        assert env in capture_summary(run.summary)


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
            ("hierarchical", "shaping__scale", 0.5),
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

    @pytest.mark.parametrize("field", ["num_envs", "ppo.num_steps", "steps", "student.hidden"])
    def test_a_graph_without_a_student_has_no_use_for_its_settings(self, field: str) -> None:
        with pytest.raises(ConfigError, match="means nothing in the graph teacher_only"):
            make_config(None, [f"{field}=9"], {"graph": "teacher_only"})

    def test_an_unknown_graph_is_one_line_too(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="unknown graph 'nosuch'"):
            tiny_config(tmp_path, graph="nosuch")


@pytest.mark.slow
class TestLearningForReal:
    def test_a_student_that_picks_options_solves_the_task_from_reward_alone(
        self, tmp_path: Path
    ) -> None:
        """Within 60,000 steps, without and with a teacher; primitive actions need many more."""
        for schedule in ("off", "linear"):
            config = make_config(
                None,
                [f"weaning.schedule={schedule}", "evaluation.final_episodes=300"],
                {"graph": "hierarchical", "steps": 60_000, "run_dir": tmp_path / schedule},
            )
            student = start(config).student
            assert student is not None
            assert student.ci95[0] >= 0.9
            assert student.mean_length < 40

    def test_the_offline_teacher_solves_simple_door_key(self, tmp_path: Path) -> None:
        config = make_config(
            None,
            ["evaluation.final_episodes=500"],
            {"graph": "teacher_only", "run_dir": tmp_path / "run"},
        )
        teacher = start(config).teacher
        assert teacher is not None
        assert teacher.success_rate >= 0.99
        assert 18 <= teacher.mean_length <= 25
