"""Values that no run could live with are refused in one line, whichever field they are given to."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.providers.make import ProviderError, make_chat_model
from tutelage.graphs.config.config import ConfigError, describe_fields, make_config
from tutelage.rl.tasks.base import UnknownTaskError
from tutelage.rl.tasks.registry import make_task

NUMBERS = [
    key for key, allowed, *_ in describe_fields() if "int" in allowed.split() or "float" in allowed
]
ABSURD = ("9" * 20, "9" * 400, "1e400", "Infinity", "-Infinity", "NaN", "-" + "9" * 20)
HALF = "\udcff"
"""A byte that is no UTF-8, as Python reads it from a command line."""

TypeIn = Callable[..., subprocess.CompletedProcess[bytes]]


def test_the_fields_are_found() -> None:
    assert {"ppo.value_coef", "ppo.minibatch_size", "teacher.budget_usd", "seed"} <= set(NUMBERS)


@pytest.mark.parametrize("value", ABSURD)
@pytest.mark.parametrize("field", NUMBERS)
def test_an_absurd_number_is_refused(field: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"^{field} = ") as caught:
        make_config(None, [f"{field}={value}"], {})
    assert "\n" not in str(caught.value)
    file = tmp_path / "c.json"
    file.write_text(f'{{"{field.partition(".")[0]}": {nested(field, value)}}}')
    with pytest.raises(ConfigError, match=rf"^{field} = "):
        make_config(file, [], {})


def nested(field: str, value: str) -> str:
    rest = field.partition(".")[2]
    return f'{{"{rest}": {value}}}' if rest else value


@pytest.mark.parametrize(
    "path",
    [
        *("os:abort", "os:_exit", "sys:exit", "builtins:breakpoint", "posix:abort"),
        *("importlib.util:sys.exit", "code:interact", "faulthandler:_sigabrt", "ctypes:string_at"),
    ],
)
def test_what_python_brings_is_neither_a_task_nor_a_teacher(path: str) -> None:
    with pytest.raises(UnknownTaskError, match=f"^environment '{path}': .* of Python's own"):
        make_task(path, None)
    with pytest.raises(ProviderError, match=f"^provider '{path}': .* of Python's own"):
        make_chat_model(path, None, TeacherSettings())


def test_nor_by_way_of_somebodys_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "by_way_of.py").write_text("import os\nfrom os import abort as make\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for path in ("by_way_of:os.abort", "by_way_of:make"):
        with pytest.raises(UnknownTaskError, match="a part of Python's own module"):
            make_task(path, None)


@pytest.mark.parametrize(
    "field", ["env", "provider", "prompts", "cache", "run_dir", "graph", "env.size", "base_url"]
)
def test_half_a_surrogate_pair_is_named_with_its_field(field: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{field} holds what is no Unicode") as caught:
        make_config(None, [f"{field}=a{HALF}"], {})
    str(caught.value).encode()


@pytest.mark.parametrize(
    "words",
    [
        ["--run-dir", f"a{HALF}"],
        ["--set", f"{HALF}=1"],
        ["--set", f"env.{HALF}=x"],
        ["--set", f"env={HALF}"],
        ["--set", 'teacher.lookups=["\\ud800"]'],
        ["--config", f"a{HALF}"],
    ],
)
def test_and_at_the_terminal(
    words: list[str], tmp_path: Path, type_in: TypeIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = type_in("run", *words)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert list(tmp_path.iterdir()) == []


def test_and_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text(json.dumps({"env_args": {"deep": [{"er": HALF}]}, "env": "a:b"}))
    with pytest.raises(ConfigError, match=r"^env\.deep\.er holds what is no Unicode"):
        make_config(file, [], {})
