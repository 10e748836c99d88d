"""A teacher's name that leads nowhere: a slip in a known name, or a module that cannot be had."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.providers.make import ProviderError, make_chat_model
from tutelage.agents.providers.replay import make_provider

MODULE = "a_teacher_of_mine"
CODE = """
def make(settings):
    import nobodys
def make_it(settings):
    return 1 / 0
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / f"{MODULE}.py").write_text(CODE)
    (tmp_path / "needs_much.py").write_text("import nobodys.part\n")
    (tmp_path / "breaks.py").write_text("from json import nothing\n")
    monkeypatch.chdir(tmp_path)
    importlib.invalidate_caches()
    yield tmp_path
    for name in (MODULE, "needs_much", "breaks"):
        sys.modules.pop(name, None)


def refused(name: str) -> str:
    with pytest.raises(ProviderError) as caught:
        make_chat_model(name, None, TeacherSettings())
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("ofline", "'offline'"),
        ("Offline", "'offline'"),
        ("weka", "'weak'"),
        ("huamn", "'human'"),
        ("fautly:0.3", "'faulty:0.3'"),
        ("replya:answers.jsonl", "'replay:answers.jsonl'"),
        ("opnai:gpt-4o", "'openai:gpt-4o'"),
        ("openai", "'openai:MODEL'"),
        ("openai:", "'openai:MODEL'"),
        ("gpt-4o", "'openai:gpt-4o'"),
        ("claude-sonnet-4-5", "'anthropic:claude-sonnet-4-5'"),
        ("llama3.2", "'ollama:llama3.2'"),
    ],
)
@pytest.mark.usefixtures("here")
def test_a_slip_in_a_known_name_is_mended(name: str, near: str) -> None:
    assert refused(name).startswith(f"unknown provider '{name}' (did you mean {near}?); allowed: ")


def test_a_recording_needs_its_file() -> None:
    with pytest.raises(ProviderError, match="did you mean 'replay:FILE'"):
        make_provider("replay", None, TeacherSettings(), None)


class TestModules:
    def test_one_that_is_not_there_is_named_with_where_it_was_looked_for(self, here: Path) -> None:
        said = refused("a_techer_of_mine:make")
        assert said.startswith(
            "provider 'a_techer_of_mine:make': there is no module 'a_techer_of_mine' "
            f"(did you mean '{MODULE}'?); looked for in {here} and on Python's path; "
        )
        assert "unknown provider" not in said
        assert "it is no provider either" in said
        deeper = refused("no.such.module:make")
        assert deeper.endswith(f"no module 'no'; looked for in {here} and on Python's path")

    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("needs_much:make", "line 1: the package 'nobodys' is not installed: pip install nobo"),
            ("breaks:make", "importing it fails: breaks.py, line 1: ImportError: cannot import na"),
            (f"{MODULE}:mak", f"module '{MODULE}' has no attribute 'mak' (did you mean 'make'"),
            (f"{MODULE}:make", f"{MODULE}.py, line 3: the package 'nobodys' is not installed: pip"),
            (f"{MODULE}:make_it", f"{MODULE}.py, line 5: ZeroDivisionError: division by zero"),
        ],
    )
    @pytest.mark.usefixtures("here")
    def test_one_that_fails_says_what_it_lacks(self, name: str, says: str) -> None:
        said = refused(name)
        assert said.startswith(f"provider '{name}': ")
        assert says in said

    def test_files_in_a_run_folder_are_not_imported(self, here: Path) -> None:
        (here / "config.json").write_text('{"schema_version": 3}')
        assert f"and not in {here}, for files in a run folder" in refused(f"{MODULE}:make")
