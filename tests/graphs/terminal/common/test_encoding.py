"""Output in an encoding that lacks what is to be written."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.fork_server import ForkServer
from helpers.small_runs import Runner
from helpers.tiny_runs import CLI, cli, environment
from tutelage.graphs.terminal.common.encoding import write_anything

ASCII = {"PYTHONIOENCODING": "ascii"}
POSIX = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
CP1252 = {"PYTHONIOENCODING": "cp1252"}


@pytest.fixture(scope="module")
def run(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, whose name is in no encoding but UTF-8's."""
    folder = tmp_path_factory.mktemp("läufe-→")
    done = Runner(server).run(folder)
    assert done.code == 0, done.err
    return next(folder.rglob("summary.json")).parent


class TestStreams:
    @pytest.mark.parametrize(
        ("encoding", "written"),
        [("ascii", "a > b - # ?"), ("cp1252", "a > b · # ä"), ("utf-8", "a → b · █ ä")],
    )
    def test_what_an_encoding_lacks_is_written_in_ascii(
        self, encoding: str, written: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="surrogateescape")
        monkeypatch.setattr(sys, "stdout", stream)
        write_anything()
        print("a → b · █ ä", end="", flush=True)
        assert stream.buffer.getvalue().decode(encoding) == written  # type: ignore[attr-defined]

    def test_a_name_that_is_no_text_does_not_stop_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        monkeypatch.setattr(sys, "stderr", stream)
        write_anything()
        print("runs/\udcff", file=sys.stderr, end="", flush=True)
        assert stream.buffer.getvalue() == b"runs/?"  # type: ignore[attr-defined]


COMMANDS = (
    ("runs", "list", "{runs}"),
    ("trace", "list", "{run}"),
    ("trace", "show", "{run}", "1"),
    ("runs", "plot", "{run}"),
    ("envs", "list"),
    ("run", "--env", "nöö→"),
)


@pytest.mark.slow
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("variables", [ASCII, POSIX, CP1252], ids=["ascii", "C", "cp1252"])
def test_commands_write_what_the_encoding_has(
    words: tuple[str, ...], variables: dict[str, str], run: Path
) -> None:
    places = {"{runs}": str(run.parent), "{run}": str(run)}
    done = cli(*(places.get(word, word) for word in words), variables=variables)
    assert done.returncode == (2 if "nöö→" in words else 0), done.stderr
    for output in (done.stdout, done.stderr):
        output.decode("cp1252" if variables is CP1252 else "ascii")
        assert b"Error" not in output


def test_json_is_the_same_in_all_encodings(run: Path) -> None:
    outputs = [
        json.loads(cli("trace", "list", run, "--json", variables=variables).stdout)
        for variables in (POSIX, {})
    ]
    assert outputs[0] == outputs[1]


def test_a_terminal_without_utf8_gets_ascii_boxes(run: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(CLI), "trace", "stats", str(run)],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=environment({**POSIX, "NO_COLOR": "1"}),
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 1 << 16):
            shown += piece
    except OSError:  # how the end of a terminal is told
        pass
    finally:
        os.close(ours)
    assert process.wait(60) == 0, shown
    assert "---" in shown.decode("ascii")
