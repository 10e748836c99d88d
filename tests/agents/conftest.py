"""What the tests of several rooms of agents need: a plan cache in a file of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tutelage.agents.store.plan_cache import PlanCache


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[PlanCache]:
    opened = PlanCache(tmp_path / "plans.sqlite")
    yield opened
    opened.close()
