"""Several runs in processes of their own, stood in for by a script that pretends to be runs."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Event as StopSignal

import pytest

from helpers import finished_runs
from helpers.finished_runs import finished_run
from helpers.tiny_runs import strict_json
from tutelage.graphs.analysis import experiments
from tutelage.graphs.analysis.experiments import (
    Experiment,
    Job,
    plan_experiment,
    process_arguments,
    seeds_of,
)
from tutelage.graphs.config.config import ConfigError, make_config
from tutelage.graphs.records.lock import locked
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.runtime.run import new_folder
from tutelage.graphs.runtime.run_spec import RunSpec


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
    assert statuses(planned(steps="150000")) == {"seed0": "finished"}
    with pytest.raises(ConfigError, match=r"task.engine .* 'batched', wanted: 'gymnasium'"):
        planned(**{"task.engine": "gymnasium"})


@pytest.mark.parametrize("options", [{}, {"task.engine": "gymnasium", "steps": "777"}])
def test_what_a_run_has_written_down_itself_is_the_same_wish_again(options: dict[str, str]) -> None:
    """Whether fields were left open or given; a run that says so is held to what it was asked."""
    job = planned(**options).jobs[0]
    new_folder(RunSpec(job.config))
    assert statuses(planned(**options)) == {"seed0": "stopped"}
    with pytest.raises(ConfigError, match=r"steps .*wanted: .*; the runs there .*--dir all-2"):
        planned(steps="999")


def test_steps_that_were_given_are_not_those_of_the_task() -> None:
    new_folder(RunSpec(planned(steps="4096").jobs[0].config))
    with pytest.raises(ConfigError, match=r"steps = 4096, wanted: none"):
        planned()


def test_what_a_run_settles_is_found_again_without_a_list_of_it() -> None:
    """Runs of before the list had a gamma of their own."""
    stored = RunSpec(planned().jobs[0].config).resolved()
    settled = stored.pop("settled")
    assert set(settled) == {"steps", "task.engine", "ppo.gamma"}
    finished_run(Path("all/seed0"), 0, settings=stored)
    assert statuses(planned(**{"ppo.gamma": "0.97"})) == {"seed0": "finished"}


def test_how_long_students_are_tested_and_saved_makes_no_other_run() -> None:
    """Those that were tested on fewer episodes are tested anew, which `compare` does."""
    finished_run(Path("all/seed0"), 0, settings={"evaluation": {"final_episodes": 20}})
    fields = {"evaluation.final_episodes": "1000", "checkpoint_every": "7"}
    assert statuses(planned(**fields)) == {"seed0": "finished"}
    assert planned(folder=None, **fields).folder == planned(folder=None).folder


def test_arguments_of_the_task_can_be_varied() -> None:
    plan = planned("env.size=5,[7]", env="mine:Mine")
    assert [job.name for job in plan.jobs] == ["env.size_5-seed0", "env.size__7_-seed0"]
    assert [job.config.env_args for job in plan.jobs] == [{"size": 5}, {"size": [7]}]
    plan.run(1, StopSignal())
    assert set(statuses(planned("env.size=5,[7]", env="mine:Mine")).values()) == {"finished"}


def test_a_run_with_another_argument_is_another_run() -> None:
    whole = make_config(None, [], {"env.size": 5})
    finished_run(Path("all/seed0"), 0, settings=whole.model_dump(mode="json"))
    with pytest.raises(ConfigError, match=r"env.size = 5, wanted: none"):
        planned()


def test_another_run_in_its_place_is_refused() -> None:
    other = {"ppo": {"gamma": 0.5}, "student": {"hidden": 32}}
    finished_run(Path("all/seed0"), 0, settings=other)
    says = (
        r"all/seed0 holds another run: student\.hidden = 32, wanted: 128; "
        r"ppo\.gamma = 0\.5, wanted: none; .*--dir all-2$"
    )
    with pytest.raises(ConfigError, match=says) as refused:
        planned()
    assert "delete" not in str(refused.value)


def test_the_folder_one_is_in_has_a_name_too(monkeypatch: pytest.MonkeyPatch) -> None:
    finished_run(Path("all/seed0"), 0, settings={"ppo": {"gamma": 0.5}})
    monkeypatch.chdir("all")
    with pytest.raises(ConfigError, match=r"--dir /.*/all-2$"):
        planned(folder=".")


def test_a_run_at_which_another_process_is_at_work_is_waited_for() -> None:
    """As one that was left behind: then it is gone on with, or is finished already."""
    finished_run(Path("all/seed0"), 0, None)
    told: list[str] = []
    with ExitStack() as holding:
        holding.enter_context(locked(RunFolder(Path("all/seed0"))))

        def note(job: Job) -> None:
            told.append(job.status)
            if job.status == "in use" and len(told) == 3:
                holding.close()

        plan = planned()
        plan.run(1, StopSignal(), note)
    assert told[:3] == ["in use"] * 3
    assert told[3:5] == ["stopped", "running"]
    assert statuses(plan) == {"seed0": "finished"}


def test_a_process_that_came_second_has_not_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was left behind may take the folder between the look at it and the start."""
    answers = iter([False, True])
    monkeypatch.setattr(experiments, "in_use", lambda _: next(answers, False))
    told: list[str] = []
    plan = planned(env="Broken")
    plan.run(1, StopSignal(), lambda job: told.append(job.status))
    # A process that ends before it is first looked at was never seen running.
    seen = [status for status in dict.fromkeys(told) if status != "running"]
    assert seen == ["in use", "waiting", "failed"]


def test_a_stop_does_not_wait_for_another_process() -> None:
    finished_run(Path("all/seed0"), 0, None)
    stop, plan = StopSignal(), planned()
    with locked(RunFolder(Path("all/seed0"))):
        plan.run(1, stop, lambda _: stop.set())
    assert statuses(plan) == {"seed0": "in use"}


def test_a_run_that_is_gone_on_with_is_told_the_addresses_again(tmp_path: Path) -> None:
    """Else `resume` would send no key there: the command that names them is the user's word."""
    second = "openai:other@https://second.example/v1"
    options = {
        "provider": "openai:some",
        "base_url": "https://first.example/v1",
        "teacher.fallback": f"{second},offline",
    }
    job = planned(**options).jobs[0]
    assert process_arguments(job, tmp_path / "c.json")[0] == "run"
    job.status = "stopped"
    first, other = "https://first.example/v1", "https://second.example/v1"
    named = ["--base-url", first, "--base-url", other]
    assert process_arguments(job, tmp_path / "c.json") == ["resume", "all/seed0", *named, "--json"]


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
