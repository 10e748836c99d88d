"""Hints name the commands as the person at the terminal types them."""

from __future__ import annotations

import sys

import pytest

from tutelage.agents.common.invocation import command


@pytest.mark.parametrize(
    ("argv", "typed"),
    [
        (["cli.py", "run"], "python cli.py"),
        (["/home/me/checkout/cli.py"], "python cli.py"),
        (["/usr/bin/tutelage", "run"], "tutelage"),
        (["/site-packages/tutelage/__main__.py"], "tutelage"),
        (["my_cli.py"], "tutelage"),
        ([""], "tutelage"),
        ([], "tutelage"),
    ],
)
def test_a_command_is_named_as_it_was_started(
    argv: list[str], typed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    assert command() == typed
