"""Modules of a reader's own folder: each test has its own, though their names are alike."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def fresh_modules() -> Iterator[None]:
    """What is imported in here is forgotten, and what other tests' readers had is not known."""
    before = dict(sys.modules)
    for name, module in before.items():
        if "." not in name and _is_a_readers(module):
            del sys.modules[name]
    try:
        yield
    finally:
        for name in set(sys.modules) - set(before):
            if _is_a_readers(sys.modules[name]):
                del sys.modules[name]


def _is_a_readers(module: object) -> bool:
    """Whether a module lies in a temporary folder of pytest's."""
    return "pytest-of-" in (getattr(module, "__file__", None) or "")
