"""What several test files share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fork_server import ForkServer
from hypothesis import settings

# A busy machine is no bug: how long an example takes says nothing.
settings.register_profile("tutelage", deadline=None)
settings.load_profile("tutelage")


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
