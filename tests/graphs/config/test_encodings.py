"""Files that people write, as their editors save them: with a byte order mark, or as UTF-16."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tutelage.agents.client import prices
from tutelage.agents.store.recordings import read_recording
from tutelage.graphs.config.config import make_config
from tutelage.prompts.library import SHIPPED, PromptLibrary
from tutelage.rl.errors import UserError

PRICES = '[openai.models]\n"gpt-mine" = { input = 1.0, output = 2.0 }\n'
ANSWER = {"situation": "here", "plans": [{"plan": ["explore()"]}]}


def price(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "own_file", lambda: path)
    found = prices.find_price("openai", "gpt-mine")
    assert found is not None
    assert found.output_usd == 2.0


def prompt(path: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    library = PromptLibrary(path.parent)
    library.get("planner_examples")
    assert library.check() == []


READERS: dict[str, tuple[str, str, Callable[[Path, pytest.MonkeyPatch], object]]] = {
    "TOML": ("c.toml", "seed = 7\n", lambda path, _: make_config(path, [], {}).seed == 7),
    "JSON": ("c.json", '{"seed": 7}', lambda path, _: make_config(path, [], {}).seed == 7),
    "prices": ("prices.toml", PRICES, price),
    "prompt": ("planner_examples.md", (SHIPPED / "planner_examples.md").read_text("utf-8"), prompt),
    "recording": ("a.jsonl", 2 * f"{json.dumps(ANSWER)}\n", lambda path, _: read_recording(path)),
}


@pytest.mark.parametrize("kind", READERS)
def test_a_byte_order_mark_is_accepted(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, text, read = READERS[kind]
    path = tmp_path / name
    path.write_text(text, encoding="utf-8-sig")
    assert read(path, monkeypatch) is not False


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
@pytest.mark.parametrize("kind", READERS)
def test_another_encoding_is_named_with_the_file(
    kind: str, encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, text, read = READERS[kind]
    path = tmp_path / name
    path.write_text(text, encoding=encoding)
    with pytest.raises(UserError, match=f"{re.escape(str(path))}.*UTF-16; save it as UTF-8$"):
        read(path, monkeypatch)
