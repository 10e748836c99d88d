"""Runs on tasks with a script of their own, with a faulty one, and with none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from helpers.scripted_corridors import Broken, Unscripted
from helpers.tiny_runs import make_run, tiny_arguments
from helpers.toy_task import Corridor
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.rl.tasks.scripts import script_of

TypeIn = Callable[..., CompletedProcess[bytes]]


def own(name: str) -> str:
    return f"helpers.scripted_corridors:{name}"


@pytest.mark.parametrize("provider", ["offline", "faulty:0.3", "weak"])
def test_without_a_script_it_is_refused_in_one_line(
    provider: str, type_in: TypeIn, tmp_path: Path
) -> None:
    words = ["--env", own("Unscripted"), "--provider", provider]
    for command in (
        ["run", *tiny_arguments(tmp_path), *words],
        ["providers", "check", provider, *words[:2]],
    ):
        done = type_in(*command)
        assert done.returncode == 2
        (line,) = done.stderr.decode().splitlines()
        assert f"provider '{provider}' teaches what the task's own script says" in line
        assert "openai:MODEL" in line
    assert not (tmp_path / "run").exists()


def test_without_a_script_a_student_still_learns_alone(tmp_path: Path) -> None:
    done = make_run(tmp_path, graph="student_only", env=own("Unscripted"))
    assert done.summary.status == "finished"


def test_without_a_script_a_recording_still_teaches(tmp_path: Path) -> None:
    task, scripted = Unscripted(), script_of(Corridor())
    assert scripted is not None
    lines = []
    for situation_id in range(4):
        text, offered = task.describe(situation_id), task.options(situation_id)
        (said,) = scripted.candidates(text, offered, 5)
        plans = [{"plan": [str(step) for step in said.plan], "p": 1.0}]
        lines.append(json.dumps({"situation": text, "plans": plans}))
    file = tmp_path / "answers.jsonl"
    file.write_text("\n".join(lines), "utf-8")
    recorded = make_run(tmp_path / "a", env=own("Unscripted"), provider=f"replay:{file}")
    asked = make_run(tmp_path / "b", env="helpers.toy_task:Corridor")
    assert recorded.summary.llm.failures == 0
    assert recorded.summary.llm.situations == asked.summary.llm.situations > 0
    assert recorded.figures("llm_calls") == asked.figures("llm_calls")


@pytest.mark.parametrize(("name", "advised"), [("Silent", True), ("Wrong", False)])
def test_where_the_script_has_no_usable_answer_the_run_goes_on(
    name: str, advised: bool, tmp_path: Path
) -> None:
    done = make_run(tmp_path, env=own(name), steps=10 * 128)
    assert done.summary.status == "finished"
    assert done.summary.llm.failures > 0
    shares = [row.advised_share for row in done.rows]
    assert all(share is not None and share < 1.0 for share in shares)
    assert any(shares) == advised
    with done.trace() as trace:
        errors = {call.error for call in trace.calls() if call.status != "ok"}
    unknown = "script_says_nothing" if advised else "fly"
    assert errors
    assert all(
        error.startswith(f"unknown tool '{unknown}'; allowed: ") for error in errors if error
    )


def test_a_broken_script_ends_the_run_with_its_line_and_all_is_saved(
    type_in: TypeIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line_of_error = Broken.script.__code__.co_firstlineno + 2
    words = [*tiny_arguments(tmp_path), "--env", own("Broken"), "--set", "steps=1024"]
    done = type_in("run", *words)
    assert done.returncode == 2
    line = done.stderr.decode().splitlines()[-1]
    assert "script: KeyError" in line
    assert f"scripted_corridors.py, line {line_of_error})" in line
    assert "lever (down)" in line
    assert "go on with" in line
    assert "Traceback" not in done.stderr.decode()
    folder = RunFolder.open(tmp_path / "run")
    assert folder.trace.exists()
    monkeypatch.setattr(Broken, "script", Corridor.script)
    again = type_in("resume", tmp_path / "run")
    assert again.returncode == 0, again.stderr
    summary = folder.read_summary()
    assert summary is not None
    assert summary.status == "finished"
