"""The end of a run at the terminal: its sentence, its exit code, and what to type next."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from helpers.finished_runs import finished_run
from helpers.openai_server import Body, OpenAIServer, Reply, status, teach
from helpers.tiny_runs import CLI, ROLLOUT, ROOT, environment, strict_json, tiny_arguments
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.shapes import OutcomeCode

TypeIn = Callable[..., subprocess.CompletedProcess[bytes]]

CORRIDOR = ["--env", "helpers.toy_task:Corridor"]
COMMAND = "python cli.py "
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def ended(folder: Path, code: OutcomeCode, **fields: Any) -> Path:
    """A run folder whose run had that outcome."""
    sentence = "Something happened, as a sentence says that is longer than a narrow terminal."
    return finished_run(folder, outcome={"code": code, "sentence": sentence}, **fields)


def on_terminal(columns: int, *arguments: str | Path) -> list[str]:
    """The lines that a command prints on a real terminal of that width, without colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    words = [sys.executable, str(CLI), *map(str, arguments)]
    process = subprocess.Popen(
        words, stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, env=environment({})
    )
    os.close(theirs)
    printed = b""
    while True:
        try:
            piece = os.read(ours, 1 << 16)
        except OSError:  # as Linux says that nobody holds the other end
            break
        if not piece:
            break
        printed += piece
    os.close(ours)
    assert process.wait() == 0, printed
    return ESCAPES.sub("", printed.decode()).split("\r\n")


def commands_in(lines: list[str]) -> list[str]:
    """The lines after `next:` that are commands, as they stand there."""
    return [line for line in lines[lines.index("next:") :] if line.startswith(COMMAND)]


def shown(type_in: TypeIn, run: Path) -> list[list[str]]:
    """The words of the commands that are named below a run."""
    lines = type_in("runs", "show", run).stdout.decode().splitlines()
    return [shlex.split(line.removeprefix(COMMAND)) for line in commands_in(lines)]


class TestNext:
    @pytest.mark.parametrize("columns", [20, 80])
    def test_a_command_is_whole_on_a_line_of_a_terminal_of_any_width(
        self, columns: int, tmp_path: Path
    ) -> None:
        run = ended(tmp_path / 'it\'s "my" $run, and its name is long', "no_answer")
        commands = commands_in(on_terminal(columns, "runs", "show", run))
        assert [shlex.split(command) for command in commands] == [
            ["python", "cli.py", "trace", "list", str(run), "failures"],
            ["python", "cli.py", "trace", "list", str(run), "calls"],
            ["python", "cli.py", "watch", str(run)],
        ]

    def test_what_is_copied_from_the_terminal_runs_in_a_shell(self, tmp_path: Path) -> None:
        run = ended(tmp_path / "it's my run", "no_teacher")
        _, plot = commands_in(on_terminal(80, "runs", "show", run))
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["/bin/sh", "-c", plot],
            capture_output=True,
            check=False,
            cwd=ROOT,
            env=environment({"PATH": path}),
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"env_steps" in done.stdout or b"step" in done.stdout

    @pytest.mark.parametrize("code", get_args(OutcomeCode))
    def test_there_are_two_or_three_of_them_whatever_happened(
        self, code: OutcomeCode, tmp_path: Path, type_in: TypeIn
    ) -> None:
        commands = shown(type_in, ended(tmp_path / "run", code))
        assert 2 <= len(commands) <= 3
        assert len({tuple(words) for words in commands}) == len(commands)
        for verb, *words in commands:
            noun = [verb, words[0]] if verb in ("trace", "runs") else [verb]
            assert type_in(*noun, "--help").returncode == 0
            assert str(tmp_path / "run") in words

    @pytest.mark.parametrize(
        ("code", "fields", "third"),
        [
            ("taught", {}, None),
            ("taught", {"advice": {"rejected": 1}}, "what was rejected"),
            ("taught_to_the_end", {"llm": {"failures": 2}}, "what failed"),
        ],
    )
    def test_failures_are_offered_where_there_are_any(
        self,
        code: OutcomeCode,
        fields: dict[str, dict[str, Any]],
        third: str | None,
        tmp_path: Path,
        type_in: TypeIn,
    ) -> None:
        run = ended(tmp_path / "run", code)
        stored = strict_json(run / "summary.json")
        stored["advice"] = {"followed_steps": 9, "verdict": "helps", "evidence": "x", "rejected": 0}
        for name, values in fields.items():
            stored[name] |= values
        (run / "summary.json").write_text(json.dumps(stored), "utf-8")
        said = type_in("runs", "show", run).stdout.decode()
        assert (f"list {run} failures" in said) == (third is not None)
        assert third is None or third in said

    def test_a_run_of_an_older_program_has_them_too(self, tmp_path: Path, type_in: TypeIn) -> None:
        stopped = finished_run(tmp_path / "stopped", success=None)
        assert shown(type_in, stopped)[0] == ["resume", str(stopped)]
        assert shown(type_in, finished_run(tmp_path / "whole"))[0][0] == "watch"


@pytest.mark.usefixtures("one_thread")
class TestExitCodes:
    def test_a_run_without_an_answer_exits_3_and_says_so(
        self, tmp_path: Path, type_in: TypeIn
    ) -> None:
        arguments = [*tiny_arguments(tmp_path), *CORRIDOR, "--provider", "forgetful:1"]
        done = type_in("run", *arguments)
        assert done.returncode == 3
        assert b"Traceback" not in done.stderr
        lines = done.stdout.decode().splitlines()
        stored = strict_json(tmp_path / "run" / "summary.json")["outcome"]
        assert stored["code"] == "no_answer"
        assert stored["sentence"] in lines
        for command in commands_in(lines):
            assert type_in(*shlex.split(command.removeprefix(COMMAND))).returncode == 0

    def test_json_has_the_sentence_too(self, tmp_path: Path, type_in: TypeIn) -> None:
        gaps = tmp_path / "nothing.jsonl"
        gaps.write_text(
            '{"situation": "another", "plans": [{"plan": ["pull()"], "p": 1.0}]}\n', "utf-8"
        )
        arguments = [*tiny_arguments(tmp_path), *CORRIDOR, "--provider", f"replay:{gaps}"]
        done = type_in("run", *arguments, "--json")
        assert done.returncode == 3
        outcome = json.loads(done.stdout)["outcome"]
        assert outcome["code"] == "no_answer"
        assert "the recording holds no answer to what came up" in outcome["sentence"]

    @pytest.mark.parametrize(
        "alone", [["--graph", "student_only"], ["--set", "weaning.schedule=off"]]
    )
    def test_a_run_that_asks_nobody_exits_0(
        self, alone: list[str], tmp_path: Path, type_in: TypeIn
    ) -> None:
        assert type_in("run", *tiny_arguments(tmp_path), *CORRIDOR, *alone).returncode == 0

    def test_a_refused_key_exits_2_and_a_resume_with_a_good_one_0(
        self, tmp_path: Path, type_in: TypeIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def behaviour(body: Body) -> Reply:
            good = server.requests[-1].headers["authorization"] == "Bearer the-good-key"
            return (teach() if good else status(401, "Incorrect API key"))(body)

        with OpenAIServer(behaviour) as server:
            asked = ["--provider", "openai:m", "--base-url", server.base_url, "--wait"]
            monkeypatch.setenv("OPENAI_API_KEY", "the-wrong-key")
            done = type_in("run", *tiny_arguments(tmp_path), *CORRIDOR, *asked)
            assert done.returncode == 2
            assert done.stdout == b""
            *told, line = done.stderr.decode().splitlines()
            assert not any(each.startswith(("tutelage: ", "Traceback")) for each in told)
            assert line.startswith("tutelage: ")
            assert "the key was refused" in line
            assert "check OPENAI_API_KEY" in line
            line = line.rpartition("go on with: ")[2]
            monkeypatch.setenv("OPENAI_API_KEY", "the-good-key")
            done = type_in(*shlex.split(line.removeprefix(COMMAND)), "--json")
        assert done.returncode == 0
        said = json.loads(done.stdout)
        assert (said["status"], said["env_steps"]) == ("finished", 3 * ROLLOUT)
        assert said["outcome"]["code"] == "taught"

    def test_with_keep_going_it_exits_3(self, tmp_path: Path, type_in: TypeIn) -> None:
        with OpenAIServer(status(403)) as server:
            asked = ["--provider", "openai:m", "--base-url", server.base_url, "--keep-going"]
            done = type_in("run", *tiny_arguments(tmp_path), *CORRIDOR, *asked, "--json")
        assert done.returncode == 3
        assert json.loads(done.stdout)["status"] == "finished"
        config = RunFolder.open(tmp_path / "run").read_config()
        assert config["teacher"]["keep_going"] is True
