"""Several runs in processes of their own, stood in for by a script that pretends to be runs."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from threading import Event as StopSignal

import pytest

from helpers import finished_runs
from helpers.finished_runs import finished_run
from helpers.tiny_runs import strict_json
from tutelage.graphs.analysis import experiments
from tutelage.graphs.analysis.experiments import Experiment, Job, plan_experiment, seeds_of
from tutelage.graphs.config.config import ConfigError, make_config


@pytest.fixture(autouse=True)
def pretending(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Runs are made by the script, in the test's own folder."""
    monkeypatch.setattr(experiments, "CLI", Path(finished_runs.__file__))
    monkeypatch.chdir(tmp_path)


def planned(*vary: str, seeds: str = "0", folder: str | None = "all", **options: str) -> Experiment:
    base = make_config(None, [], options)
    return plan_experiment(base, vary, seeds_of(seeds), Path(folder) if folder else None)


def statuses(experiment: Experiment) -> dict[str, str]:
    return {job.name: job.status for job in experiment.jobs}


def test_every_combination_is_run_with_every_seed() -> None:
    plan = planned("ppo.gamma=0.9,0.99", "weaning.schedule=linear,off", seeds="0,7")
    assert [job.name for job in plan.jobs][:3] == [
        "ppo.gamma_0.9-weaning.schedule_linear-seed0",
        "ppo.gamma_0.9-weaning.schedule_linear-seed7",
        "ppo.gamma_0.9-weaning.schedule_off-seed0",
    ]
    assert len(plan.jobs) == 8
    last = plan.jobs[-1].config
    assert (last.ppo.gamma, last.weaning.schedule, last.seed) == (0.99, "off", 7)


def test_so_many_run_side_by_side_and_what_has_finished_is_kept() -> None:
    most, told = 0, set[tuple[str, str]]()
    plan = planned(seeds="0,1,2")

    def note(job: Job) -> None:
        nonlocal most
        most = max(most, sum(job.status == "running" for job in plan.jobs))
        told.add((job.name, job.status))

    plan.run(2, StopSignal(), note)
    assert most == 2
    assert set(statuses(plan).values()) == {"finished"}
    assert {name for name, status in told if status == "finished"} == set(statuses(plan))
    summaries = [job.path / "summary.json" for job in plan.jobs]
    before = [path.stat().st_mtime_ns for path in summaries]
    again = planned(seeds="0,1,2")
    assert set(statuses(again).values()) == {"finished"}
    again.run(1, StopSignal())
    assert [path.stat().st_mtime_ns for path in summaries] == before


def test_one_that_fails_takes_no_other_with_it() -> None:
    plan = planned("env=Broken,SimpleDoorKey")
    plan.run(1, StopSignal())
    broken, other = plan.jobs
    assert (broken.status, broken.problem) == ("failed", "the machine is on fire")
    assert other.status == "finished"


def test_a_stop_interrupts_and_the_next_call_goes_on() -> None:
    plan, stop = planned("env=Endless", seeds="0,1,2"), StopSignal()
    ready = [Path("all") / f"env_Endless-seed{seed}.ready" for seed in (0, 1)]

    def stop_when_ready() -> None:
        while not all(path.exists() for path in ready):
            time.sleep(0.02)
        stop.set()

    watcher = threading.Thread(target=stop_when_ready)
    watcher.start()
    plan.run(2, stop)
    watcher.join()
    assert [job.status for job in plan.jobs] == ["stopped", "stopped", "waiting"]
    assert strict_json(plan.jobs[0].path / "summary.json")["status"] == "interrupted"
    again = planned("env=Endless", seeds="1")
    assert statuses(again) == {"env_Endless-seed1": "stopped"}
    again.run(1, StopSignal())
    assert statuses(again) == {"env_Endless-seed1": "finished"}


def test_what_is_asked_again_is_found_again() -> None:
    def folder(*vary: str, **options: str) -> Path:
        return planned(*vary, folder=None, **options).folder

    assert folder("ppo.gamma=0.9") == folder("ppo.gamma=0.9,0.99") == folder("ppo.gamma=0.5")
    assert folder("ppo.gamma=0.9") != folder("ppo.gamma=0.9", env="LavaDoorKey")
    assert folder("ppo.gamma=0.9") != folder("ppo.clip_range=0.9")


def test_a_run_is_found_again_whatever_its_task_has_settled() -> None:
    whole = make_config(None, [], {"steps": 150_000, "task.engine": "batched"})
    finished_run(Path("all/seed0"), 0, settings=whole.model_dump(mode="json"))
    assert statuses(planned()) == {"seed0": "finished"}
    with pytest.raises(ConfigError, match=r"task.engine = 'batched', wanted: 'gymnasium'"):
        planned(**{"task.engine": "gymnasium"})


def test_arguments_of_the_task_can_be_varied() -> None:
    plan = planned("env.size=5,[7]", env="mine:Mine")
    assert [job.name for job in plan.jobs] == ["env.size_5-seed0", "env.size__7_-seed0"]
    assert [job.config.env_args for job in plan.jobs] == [{"size": 5}, {"size": [7]}]
    plan.run(1, StopSignal())
    assert set(statuses(planned("env.size=5,[7]", env="mine:Mine")).values()) == {"finished"}


def test_a_run_with_another_argument_is_another_run() -> None:
    whole = make_config(None, [], {"env.size": 5})
    finished_run(Path("all/seed0"), 0, settings=whole.model_dump(mode="json"))
    with pytest.raises(ConfigError, match=r"env.size = 5, wanted: None"):
        planned()


def test_another_run_in_its_place_is_refused() -> None:
    finished_run(Path("all/seed0"), 0, settings={"ppo": {"gamma": 0.5}})
    with pytest.raises(ConfigError, match=r"all/seed0 holds another run \(ppo.gamma = 0.5.*--dir"):
        planned()


@pytest.mark.parametrize(
    ("vary", "says"),
    [
        (["ppo.gamma"], "key=value,value"),
        (["=1"], "key=value,value"),
        (["seed=1,2"], "--seeds"),
        (["run_dir=a,b"], "run_dir"),
        (["ppo.gamma=0.9", "ppo.gamma=0.8"], "ppo.gamma"),
        (["ppo.gamma=0.9,0.9"], "same run"),
        (["ppo.gama=0.9"], "ppo.gama.*gamma"),
        (["ppo.gamma=1.5"], "1.5"),
    ],
)
def test_what_cannot_be_varied_is_one_line(vary: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        planned(*vary)


@pytest.mark.parametrize("seeds", ["", "a", "0,,1", "-1"])
def test_seeds_are_numbers(seeds: str) -> None:
    with pytest.raises(ConfigError, match="seed"):
        planned(seeds=seeds)
