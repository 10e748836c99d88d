"""A student that leaves its run: in a plain loop, as files for other programs, on its card."""

from __future__ import annotations

import getpass
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

from helpers.finished_runs import finished_run
from helpers.small_students import SMALL, decided, student_for
from helpers.tiny_runs import ROOT, environment, make_run
from tutelage import load_student
from tutelage.graphs.analysis import exporting
from tutelage.graphs.analysis.exporting import FORMATS, export_run
from tutelage.graphs.config.config import ConfigError
from tutelage.graphs.records.outputs import OutputError
from tutelage.rl.minigrid.remembered_map import RememberedMap
from tutelage.rl.policy.policy import Policy, StudentActor
from tutelage.rl.rollouts.evaluate import evaluate
from tutelage.rl.tasks.registry import make_task
from tutelage.rl.tasks.seeding import episode_seed

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

pytestmark = pytest.mark.usefixtures("one_thread")

DOORKEY: Final = "MiniGrid-DoorKey-5x5-v0"
EPISODES: Final = 50
PAGE: Final = (ROOT / "docs" / "export.md").read_text("utf-8")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer steps are timed."""
    monkeypatch.setattr(exporting, "_TIMED_STEPS", 20)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose student has learned its level."""
    options = {"num_envs": 64, "ppo__num_steps": 32, "steps": 24_000}
    return make_run(tmp_path_factory.mktemp("taught"), env=DOORKEY, **options).path


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose student sees the bare view and remembers."""
    options = {"student__sees": "view", "student__memory": "gru"}
    return make_run(tmp_path_factory.mktemp("recurrent"), env=DOORKEY, **options).path


def doorkey(student: Policy) -> RememberedMap:
    return RememberedMap.for_student(gym.make(DOORKEY), student.spec)


def played(
    env: gym.Env[Any, Any],
    actor: StudentActor,
    seeds: list[int],
    each: Callable[[Any, int, bool], None] = lambda *_: None,
) -> list[tuple[float, int, bool]]:
    """Return, length and termination of an episode for each seed, as anybody's loop plays them.

    each: is told each observation, the action on it, and whether an episode begins with it.
    """
    episodes = []
    for seed in seeds:
        observation, _ = env.reset(seed=seed)
        actor.reset()
        return_, length, done = 0.0, 0, False
        while not done:
            action = actor(observation)
            each(observation, action, length == 0)
            observation, reward, terminated, truncated, _ = env.step(action)
            return_, length, done = return_ + float(reward), length + 1, terminated or truncated
        episodes.append((return_, length, terminated and return_ > 0))
    return episodes


class TestPlainLoop:
    def test_it_does_as_well_as_eval_says(self, taught: Path) -> None:
        """The very episodes that `eval` plays, by their seeds: the same to the last step."""
        student = load_student(taught)
        task = make_task(DOORKEY, student.spec.settings.map_crop)
        expected = evaluate(task, student, EPISODES, seed=7, greedy=True)
        seeds = [episode_seed(7, "evaluation", env, 0) for env in range(EPISODES)]
        found = played(doorkey(student), student.policy(), seeds)
        assert sum(success for _, _, success in found) == expected.successes > 0.9 * EPISODES
        assert np.mean([length for _, length, _ in found]) == pytest.approx(expected.mean_length)
        assert np.mean([return_ for return_, _, _ in found]) == pytest.approx(expected.mean_return)

    def test_with_drawn_actions_too(self, taught: Path) -> None:
        student = load_student(taught)
        found = played(doorkey(student), student.policy(seed=3), list(range(EPISODES)))
        assert sum(success for _, _, success in found) > 0.9 * EPISODES

    def test_a_recurrent_student_that_sees_the_bare_view(self, recurrent: Path) -> None:
        student = load_student(recurrent)
        task = make_task(DOORKEY, None)
        expected = evaluate(task, student, 10, seed=7, greedy=True)
        seeds = [episode_seed(7, "evaluation", env, 0) for env in range(10)]
        found = played(doorkey(student), student.policy(), seeds)
        assert np.mean([length for _, length, _ in found]) == pytest.approx(expected.mean_length)
        assert sum(success for _, _, success in found) == expected.successes

    def test_the_maps_side_travels_in_the_file(self, taught: Path) -> None:
        assert load_student(taught).spec.view == {"map_side": 9}


@pytest.mark.usefixtures("quick")
@pytest.mark.slow
class TestFiles:
    @pytest.mark.parametrize("run", ["taught", "recurrent"])
    def test_they_do_as_the_student_did_in_real_episodes(
        self, run: str, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        path: Path = request.getfixturevalue(run)
        export_run(path, ["onnx", "torch"], tmp_path)
        student = load_student(path)
        session = onnxruntime.InferenceSession(tmp_path / "student.onnx")
        module = torch.export.load(tmp_path / "student.pt2").module()
        names = [output.name for output in session.get_outputs()]
        carried: list[dict[str, Any]] = [{}, {}]
        state = student.initial_state(1)
        steps = 0

        def compare(observation: Any, action: int, begins: bool) -> None:
            nonlocal state, steps, carried
            steps += 1
            batch = {key: array[None] for key, array in observation.items()}
            if begins:
                state = student.initial_state(1)
                if state.hidden.size:
                    zeros = {"hidden": state.hidden, "previous_action": state.previous}
                    carried = [zeros, zeros]
            logits, values = student.policy_and_value(batch, state)
            student.did(state, np.array([action]))
            onnx = dict(zip(names, session.run(None, {**batch, **carried[0]}), strict=True))
            tensors = {k: torch.from_numpy(a) for k, a in {**batch, **carried[1]}.items()}
            pt2 = {name: tensor.numpy() for name, tensor in module(tensors).items()}
            for which, found in enumerate((onnx, pt2)):
                np.testing.assert_allclose(found["logits"], logits, atol=1e-5, rtol=0)
                np.testing.assert_allclose(found["value"], values, atol=1e-5, rtol=0)
                if state.hidden.size:
                    np.testing.assert_allclose(found["hidden_out"], state.hidden, atol=1e-5, rtol=0)
                    hidden = found["hidden_out"]
                    carried[which] = {"hidden": hidden, "previous_action": state.previous}

        played(doorkey(student), student.policy(seed=1), [1, 2, 3], compare)
        assert steps > 20

    def test_the_safetensors_is_the_runs_own(self, taught: Path) -> None:
        written = export_run(taught, ["safetensors"], force=True)
        assert written.folder == taught / "export"
        own = (taught / "student.safetensors").read_bytes()
        assert (written.folder / "student.safetensors").read_bytes() == own
        assert load_student(written.folder).spec == load_student(taught).spec

    def test_the_card_says_what_it_is(self, taught: Path, tmp_path: Path) -> None:
        written = export_run(taught, FORMATS, tmp_path)
        summary = json.loads((taught / "summary.json").read_text("utf-8"))
        card = (tmp_path / "README.md").read_text("utf-8")
        result = summary["student"]
        low, high = (100 * share for share in result["ci95"])
        for said in (
            f"{100 * result['success_rate']:.1f} % of {result['episodes']} episodes "
            f"(95 % interval {low:.1f} to {high:.1f})",
            f"| mean return | {result['mean_return']:.3f} |",
            f"| environment steps | {summary['env_steps']:,} |",
            f"| with those of the teacher check | {summary['total_steps']:,} |",
            f"| teacher left | at step {summary['teacher_removed_at_step']:,} |",
            "| teacher | `offline` |",
            "| graph | `teacher_student` |",
            "| seed | 0 |",
            f"torch {torch.__version__}",
            "| `grid` | uint8, 7 x 7 cells, each one of 41 codes |",
            "one of 7 actions: `left`, `right`",
            "`map_side` = 9",
        ):
            assert said in card
        assert set(written.sizes) == {path.name for path in tmp_path.glob("student.*")}
        for name, size in written.sizes.items():
            assert size == (tmp_path / name).stat().st_size
            assert f"| `{name}` | {size:,} |" in card
        assert len(written.latencies) == 3
        for actor, latency in written.latencies.items():
            assert latency > 0
            assert f"| {actor} | {latency:,.1f} µs |" in card

    def test_the_card_names_no_place_and_nobody(self, tmp_path: Path) -> None:
        places = {"env": "my_tasks:Taxi|`\n# x", "provider": f"replay:{tmp_path}/answers.jsonl"}
        run = run_with(student_for({"observation": spaces.Discrete(4)}), tmp_path, **places)
        export_run(run, ["safetensors"], tmp_path / "out")
        card = (tmp_path / "out" / "README.md").read_text("utf-8")
        assert "| teacher | `replay:answers.jsonl` |" in card
        assert "| task | `my_tasks:Taxi/' # x` |" in card
        for place in (str(tmp_path), str(ROOT), str(Path.home()), tmp_path.name):
            assert place not in card
        assert not re.search(rf"\b{re.escape(getpass.getuser())}\b", card)

    @pytest.mark.parametrize(
        ("action_space", "says"),
        [
            (spaces.MultiDiscrete([3, 1, 2]), "3 actions at once, of 3, 1, 2 each"),
            (
                spaces.Box(-2, 2, (3,)),
                "a vector of 3: `action 0`, `action 1`, `action 2`; from [-2.0",
            ),
        ],
    )
    def test_the_card_of_other_actions(self, action_space: Any, says: str, tmp_path: Path) -> None:
        run = run_with(student_for({"observation": spaces.Discrete(4)}, action_space), tmp_path)
        export_run(run, ["safetensors"])
        assert says in (run / "export" / "README.md").read_text("utf-8")

    def test_a_run_that_goes_on_has_no_results_yet(self, tmp_path: Path) -> None:
        run = run_with(student_for({"observation": spaces.Discrete(4)}), tmp_path)
        (run / "summary.json").unlink()
        export_run(run, ["safetensors"])
        assert "the run has not ended" in (run / "export" / "README.md").read_text("utf-8")


@pytest.mark.usefixtures("quick")
class TestRefused:
    @pytest.fixture
    def run(self, tmp_path: Path) -> Path:
        return run_with(student_for({"observation": spaces.Discrete(4)}), tmp_path)

    def test_nothing_is_overwritten_unless_that_is_meant(self, run: Path, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "README.md").write_text("mine")
        with pytest.raises(OutputError, match=r"README.md is there already; --force"):
            export_run(run, ["safetensors"], tmp_path / "mine")
        assert [path.name for path in (tmp_path / "mine").iterdir()] == ["README.md"]
        export_run(run, ["safetensors"], tmp_path / "mine", force=True)
        assert "A policy for" in (tmp_path / "mine" / "README.md").read_text("utf-8")

    def test_a_format_that_is_none(self, run: Path) -> None:
        with pytest.raises(ConfigError, match="--format 'jit' is none; allowed: onnx, torch,"):
            export_run(run, ["jit"])

    def test_a_package_that_is_missing(self, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        found = importlib.util.find_spec
        monkeypatch.setattr(
            exporting, "find_spec", lambda name: None if name == "onnxscript" else found(name)
        )
        with pytest.raises(
            ConfigError, match=r'needs onnxscript: pip install "tutelage\[export\]"'
        ):
            export_run(run, ["onnx"])
        assert not (run / "export").exists()

    def test_a_run_without_a_student(self, tmp_path: Path) -> None:
        run = finished_run(tmp_path / "teacher", settings={"graph": "teacher_only"})
        with pytest.raises(ConfigError, match=r"has no student"):
            export_run(run, ["safetensors"])

    def test_a_folder_that_is_a_file(self, run: Path, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match=r"cannot write .*file"):
            export_run(run, ["safetensors"], tmp_path / "file")


@pytest.mark.usefixtures("quick")
@pytest.mark.slow
class TestPage:
    """The lines of docs/export.md, as they stand there."""

    @pytest.mark.parametrize("memory", ["none", "gru"])
    def test_those_without_pytorch(self, memory: str, tmp_path: Path) -> None:
        settings = SMALL.model_copy(update={"memory": memory})
        student = decided(student_for(cart_pole(), spaces.Discrete(2), settings, normalise=True))
        run = run_with(student, tmp_path)
        export_run(run, ["onnx"], tmp_path / "out")
        plain, recurrent = (block for block in blocks() if "import onnxruntime" in block)
        lines = recurrent if memory == "gru" else plain
        told = run_lines(f"{lines}\nprint(reward, done)", tmp_path / "out", without_torch=True)
        assert told == "1.0 True"

    def test_those_of_a_plain_loop(self, tmp_path: Path) -> None:
        run_with(student_for(cart_pole(), spaces.Discrete(2)), tmp_path / "runs")
        (lines,) = (block for block in blocks() if "CartPole" in block and "load_student" in block)
        told = run_lines(f"{lines}\nprint(reward, done)", tmp_path)
        assert told == "1.0 True"

    def test_those_of_minigrid(self, taught: Path, tmp_path: Path) -> None:
        (tmp_path / "runs").mkdir()
        (tmp_path / "runs" / "my-run").symlink_to(taught)
        (lines,) = (block for block in blocks() if "RememberedMap" in block)
        told = run_lines(f"{lines}\nprint(student(env.reset(seed=1)[0]) in range(7))", tmp_path)
        assert told == "True"


def cart_pole() -> dict[str, spaces.Space[Any]]:
    return {"observation": gym.make("CartPole-v1").observation_space}


def blocks() -> Iterator[str]:
    yield from re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def run_lines(lines: str, folder: Path, without_torch: bool = False) -> str:
    """What Python prints of them in a process of its own, where torch cannot be imported."""
    if without_torch:
        lines = f"import sys\nsys.modules['torch'] = sys.modules['tutelage'] = None\n{lines}"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", lines],
        cwd=folder,
        env=environment({"PYTHONPATH": str(ROOT / ".package")}),
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def run_with(student: Policy, folder: Path, **settings: str) -> Path:
    """A finished run that left this student."""
    provider = settings.get("provider", "offline")
    run = finished_run(folder / "my-run", settings=settings, provider=provider)
    student.save(run / "student.safetensors")
    return run
