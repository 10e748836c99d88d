"""Every error of agents that people can mend has the common base."""

from __future__ import annotations

import pytest

from tutelage.agents.client.prices import PriceFileError
from tutelage.agents.common.files import RunFolderError
from tutelage.agents.providers.keys import KeyFileError, UnusableKeyError
from tutelage.agents.providers.make import ProviderError
from tutelage.agents.providers.proxies import ProxyError
from tutelage.agents.store.plan_file import CacheError
from tutelage.agents.store.recordings import RecordingError
from tutelage.rl.errors import UserError


@pytest.mark.parametrize(
    "kind",
    [
        *(CacheError, KeyFileError, PriceFileError, ProviderError, ProxyError),
        *(RecordingError, RunFolderError, UnusableKeyError),
    ],
)
def test_what_people_can_mend_is_a_user_error(kind: type[Exception]) -> None:
    assert issubclass(kind, UserError)
