"""What several test files share."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings

from helpers.fork_server import ForkServer
from helpers.tiny_runs import CLI, environment

# Prompts and prices of whoever runs the tests must not change them.
os.environ["XDG_CONFIG_HOME"] = str(Path(__file__).with_name("nobodys-config"))

# A busy machine is no bug: how long an example takes says nothing.
settings.register_profile("tutelage", deadline=None)
settings.load_profile("tutelage")


@pytest.fixture
def nobody() -> Iterator[str]:
    """The address of a port on which nobody listens: it is taken, and refuses connections."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One torch thread, as in a run: networks this small are slower with more."""
    import torch  # here and not above: most tests need no torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def server() -> Iterator[ForkServer]:
    """Command lines in processes of their own, without the imports of each."""
    with ForkServer() as server:
        yield server


@pytest.fixture
def type_in(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """The command line in this process, as if it had been started anew; standard input is none."""
    from tutelage.graphs.terminal.app import main

    def type_in(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
        monkeypatch.setattr(sys, "argv", [str(CLI), *map(str, arguments)])
        monkeypatch.setattr(sys, "path", [*sys.path])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capfd.readouterr()
        code = int(end.value.code or 0)
        return subprocess.CompletedProcess(sys.argv, code, out.encode(), err.encode())

    for name in set(os.environ) - set(environment({})):
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    return type_in
