"""Keys: where they may come from, whom they may be sent to, and that they are in nothing we write.

A server that knows the key and says it everywhere stands in for the worst provider.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from helpers.fork_server import ForkServer
from helpers.openai_server import OpenAIServer, leaking, raw, repeating, teach
from helpers.small_runs import Runner
from helpers.tiny_runs import make_run, tiny_arguments
from tutelage.agents.common.files import RunFolderError
from tutelage.agents.common.redact import redact
from tutelage.agents.providers.catalogue import list_providers
from tutelage.agents.providers.keys import KeyFileError, key_file, load_keys
from tutelage.graphs.analysis.evaluation import evaluate_run
from tutelage.graphs.analysis.watching import EpisodeViewer
from tutelage.graphs.config.config import ConfigError, make_config
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.runtime.trust import check_address

KEY = "opensesame-0123456789-abcdef"
"""Of no shape that is known for a key."""

CORRIDOR = ("--env", "helpers.toy_task:Corridor")
TypeIn = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A key file of the user's own, closed to others."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    # Set and removed, so that what `load_keys` puts there goes with the test.
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.delenv("OPENAI_API_KEY")
    path = key_file()
    assert path.is_relative_to(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text(f'OPENAI_API_KEY = " {KEY}"\n')
    path.chmod(0o600)
    return path


class TestKeyFile:
    @pytest.mark.usefixtures("file")
    def test_its_keys_are_found_and_known_as_secrets(self) -> None:
        assert redact(KEY) == KEY
        assert load_keys() == ("OPENAI_API_KEY",)
        assert os.environ["OPENAI_API_KEY"] == KEY
        assert redact(f"my key is {KEY}.") == "my key is [redacted]."
        assert {info.name: info.key_present for info in list_providers()}["openai:MODEL"]

    @pytest.mark.usefixtures("file")
    def test_the_environment_goes_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "another-key-of-mine")
        load_keys()
        assert os.environ["OPENAI_API_KEY"] == "another-key-of-mine"

    def test_no_file_is_no_key(self, tmp_path: Path) -> None:
        assert load_keys(tmp_path / "nowhere" / "keys.toml") == ()

    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o622, 0o601])
    def test_one_that_others_can_open_is_refused(self, file: Path, mode: int) -> None:
        file.chmod(mode)
        with pytest.raises(KeyFileError, match=f"mode {mode:o}.*chmod 600 {file}"):
            load_keys()
        assert "OPENAI_API_KEY" not in os.environ

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            (f"OPENAI_API_KEY = {KEY}", "line 1: not of the form"),
            (f'A_KEY = "{KEY}"\n\n= "{KEY}"', "line 3"),
            (f'PATH = "{KEY}"', "PATH is no name of a key; allowed"),
            ('OPENAI_API_KEY = "short"', "at least 8 characters"),
            ("OPENAI_API_KEY = 123456789012", "no text"),
            (f'[OPENAI_API_KEY]\nkey = "{KEY}"', "no text"),
            ("\xff", "not of the form"),
        ],
    )
    def test_what_holds_no_keys_is_refused_and_not_repeated(
        self, file: Path, text: str, says: str
    ) -> None:
        file.write_bytes(text.encode("latin-1"))
        with pytest.raises(KeyFileError, match=says) as caught:
            load_keys()
        assert KEY not in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_pipe_does_not_hang(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "keys.toml", 0o600)
        with pytest.raises(KeyFileError, match="no plain file"):
            load_keys(tmp_path / "keys.toml")

    def test_the_refusal_is_one_line_at_the_terminal(self, file: Path, type_in: TypeIn) -> None:
        file.chmod(0o644)
        done = type_in("providers", "list")
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr.count(b"\n") == 1
        assert b"chmod 600" in done.stderr


@pytest.mark.usefixtures("file")
def test_a_key_of_the_file_is_in_nothing_that_is_written_or_said(
    tmp_path: Path, type_in: TypeIn
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    said = b""
    with OpenAIServer(leaking(teach(), KEY)) as server:
        asked = (
            "--env",
            "helpers.toy_task:Corridor",
            "--provider",
            "openai:test-model",
            "--base-url",
            server.base_url,
            "--wait",
        )
        done = type_in(
            "run",
            *CORRIDOR,
            *tiny_arguments(home),
            *asked,
            "--set",
            "teacher.backoff_s=0",
            "--json",
        )
        said += done.stdout + done.stderr
        sent = {request.headers["authorization"] for request in server.requests}
    assert (done.returncode, sent) == (0, {f"Bearer {KEY}"})
    for words in (["trace", "list", home / "run"], ["trace", "show", home / "run", "1"]):
        for ending in ([], ["--json"]):
            done = type_in(*words, *ending)
            assert done.returncode == 0
            said += done.stdout + done.stderr
    assert b"[redacted]" in said
    assert KEY.encode() not in said
    stored = [path for path in home.rglob("*") if path.is_file()]
    assert {"config.json", "trace.sqlite", "plans.sqlite"} <= {path.name for path in stored}
    assert [path for path in stored if KEY.encode() in path.read_bytes()] == []


@pytest.mark.slow
@pytest.mark.usefixtures("file")
def test_a_key_in_any_form_is_in_nothing_that_is_written_or_said(
    tmp_path: Path, type_in: TypeIn
) -> None:
    """What commands show that ask and keep nothing counts as well."""
    header = f"Bearer {KEY}"
    coded = (KEY.encode().hex(), base64.b64encode(KEY.encode()).decode())
    header_coded = (header.encode().hex(), base64.b64encode(header.encode()).decode())
    percent = "".join(f"%{sign:02x}" for sign in KEY.encode())
    halves = (KEY[:15], KEY[15:])
    forms = (KEY, *coded, *header_coded, percent, "-".join(KEY), *halves)
    home = tmp_path / "home"
    home.mkdir()
    quick = ("--set", "teacher.backoff_s=0", "--set", "teacher.max_tries=1")
    said = b""
    with OpenAIServer(repeating(teach(), *forms)) as server:
        model = ("--provider", "openai:test-model", "--base-url", server.base_url)
        run = home / "run"
        commands: list[tuple[str | Path, ...]] = [
            ("run", *CORRIDOR, *tiny_arguments(home), *model, *quick, "--wait"),
            ("trace", "show", run, "1"),
            ("trace", "replay", run, "1", *model),
            ("trace", "replay", run, "1", *model, "--json"),
            ("trace", "export", run, home / "trace.jsonl"),
            ("cache", "export", home / "plans.jsonl", "--cache", home / "plans.sqlite"),
            ("prompts", "try", "--wrong", "--limit", "4", *model, *quick),
            ("prompts", "try", "--wrong", "--limit", "4", *model, *quick, "--json"),
            ("providers", "check", *model[1:]),
        ]
        for words in commands:
            done = type_in(*words)
            said += done.stdout + done.stderr
            assert b"Traceback" not in done.stderr, words
    assert b"[redacted]" in said
    stored = [path for path in home.rglob("*") if path.is_file()]
    assert {"config.json", "trace.sqlite", "plans.sqlite"} <= {path.name for path in stored}
    for content in (said, *(path.read_bytes() for path in stored)):
        for form in forms:
            assert form.encode() not in content


class TestTypedSecrets:
    """A key that somebody types where something else belongs is refused, and not repeated."""

    @pytest.mark.usefixtures("file")
    @pytest.mark.parametrize(
        "words",
        [
            ["--provider", KEY],
            ["--set", f"env={KEY}"],
            ["--set", f"teacher.api_key={KEY}"],
            ["--set", f"{KEY}=1"],
            ["--graph", "sk-proj-abcDEF0123456789"],
            ["--base-url", f"https://me:{KEY}@host/v1"],
            ["--base-url", f"https://host/v1?key={KEY}"],
            ["--run-dir", f"/nowhere/{KEY}"],
        ],
    )
    def test_on_the_command_line(self, words: list[str], tmp_path: Path, type_in: TypeIn) -> None:
        load_keys()
        done = type_in("run", "--run-dir", tmp_path / "new", *words)
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr.count(b"\n") == 1
        assert KEY.encode() not in done.stderr
        assert b"sk-proj" not in done.stderr
        assert not (tmp_path / "new").exists()

    def test_the_field_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MY_API_KEY", KEY)
        with pytest.raises(ConfigError, match=r"^provider must hold no key; keys belong in"):
            make_config(None, [], {"provider": f"openai:{KEY}"})

    @pytest.mark.usefixtures("file")
    def test_a_fault_of_the_program_tells_none_either(
        self, type_in: TypeIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any) -> None:
            raise RuntimeError(f"cannot go on with {KEY}")

        load_keys()
        monkeypatch.setattr("tutelage.rl.tasks.shipped.shipped_tasks", broken)
        done = type_in("envs", "list")
        assert done.returncode == 1
        assert b"RuntimeError: cannot go on with [redacted]" in done.stderr
        assert KEY.encode() not in done.stderr


class TestAddresses:
    """Whoever resumes a stranger's run gives their key away only on their own word."""

    REMOTE = "https://teacher.example/v1"

    def config(self, url: str | None, provider: str = "openai:m") -> Any:
        return make_config(None, [], {"provider": provider, "base_url": url})

    def test_a_key_goes_to_no_address_that_was_not_named(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        with pytest.raises(
            RunFolderError,
            match=rf"OPENAI_API_KEY\) to {self.REMOTE}; .*resume run --base-url {self.REMOTE}$",
        ):
            check_address(Path("run"), self.config(self.REMOTE), ())
        check_address(Path("run"), self.config(self.REMOTE), [self.REMOTE])

    def test_nor_where_a_runs_teacher_is_tested_or_watched(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        run = make_run(tmp_path, env="helpers.toy_task:Corridor")
        folder = RunFolder.open(run.path)
        folder.write_config(
            {**folder.read_config(), "provider": "openai:m", "base_url": self.REMOTE}
        )
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        again = f"--base-url {self.REMOTE}$"
        with pytest.raises(RunFolderError, match=f"to {self.REMOTE}; .*eval .* --teacher {again}"):
            evaluate_run(run.path, 1, teacher=True)
        with (
            ExitStack() as resources,
            pytest.raises(RunFolderError, match=f"to {self.REMOTE}; .*watch .* {again}"),
        ):
            EpisodeViewer(run.path, resources, provider="openai:m")

    @pytest.mark.parametrize("given", ["https://other.example/v1", "https://teacher.example/v2"])
    def test_another_address_is_refused(self, given: str) -> None:
        with pytest.raises(RunFolderError, match=f"at {self.REMOTE}, and not at {given}"):
            check_address(Path("run"), self.config(self.REMOTE), [given])

    def test_without_a_key_or_an_address_there_is_nothing_to_say(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        check_address(Path("run"), self.config(self.REMOTE), ())
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        check_address(Path("run"), self.config(None), ())

    @pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:11434", "[::1]:80"])
    def test_nor_to_one_of_this_machine_where_anybody_may_listen(
        self, host: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        url = f"http://{host}/v1"
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        with pytest.raises(RunFolderError, match=r"would send your key .*--base-url"):
            check_address(Path("run"), self.config(url), ())
        check_address(Path("run"), self.config(url), [url])
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        monkeypatch.delenv("OPENAI_API_KEY")
        check_address(Path("run"), self.config(url), ())  # nothing to give away

    @pytest.mark.parametrize(
        "words", [["resume"], ["eval", "--teacher"], ["watch"], ["trace", "replay"]]
    )
    def test_no_command_sends_one_unasked(
        self, words: list[str], tmp_path: Path, type_in: TypeIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = make_run(tmp_path, env="helpers.toy_task:Corridor")
        folder = RunFolder.open(run.path)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        (run.path / "summary.json").unlink()
        more = {"eval": ["--episodes", "1"], "watch": ["--provider", "openai:m"], "trace": ["1"]}
        with OpenAIServer(teach()) as server:
            folder.write_config(
                {**folder.read_config(), "provider": "openai:m", "base_url": server.base_url}
            )
            done = type_in(*words, run.path, *more.get(words[0], []))
        assert done.returncode == 2
        assert server.base_url.encode() in done.stderr
        assert server.requests == []

    def test_a_package_that_nobody_knows_here_has_a_key_too(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TOGETHER_API_KEY", KEY)
        with pytest.raises(RunFolderError, match="TOGETHER_API_KEY"):
            check_address(Path("run"), self.config("http://127.0.0.1.example/", "together:m"), ())

    def test_resume_asks_for_it(
        self, tmp_path: Path, type_in: TypeIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert (
            type_in(
                "run", *tiny_arguments(tmp_path), "--env", "helpers.toy_task:Corridor"
            ).returncode
            == 0
        )
        stored = json.loads((tmp_path / "run" / "config.json").read_text())
        stored |= {"provider": "openai:m", "base_url": self.REMOTE}
        (tmp_path / "run" / "config.json").write_text(json.dumps(stored))
        (tmp_path / "run" / "summary.json").unlink()
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        done = type_in("resume", tmp_path / "run")
        assert done.returncode == 2
        assert self.REMOTE.encode() in done.stderr
        assert b"--base-url" in done.stderr


@pytest.mark.slow
def test_no_librarys_warning_quotes_an_answer(server: ForkServer, tmp_path: Path) -> None:
    answer = {"id": "1", "object": "chat.completion", "choices": {}, "created": [KEY], "model": "m"}
    with OpenAIServer(raw(json.dumps(answer).encode())) as teacher:
        options = ["--env", "ColoredDoorKey", "--provider", "openai:test-model"]
        runner = Runner(server, [*options, "--base-url", teacher.base_url])
        done = runner.run(tmp_path, {"wait": True, "steps": 32})
    assert teacher.requests
    assert "Warning" not in done.err
