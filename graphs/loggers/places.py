"""Where a run is known to a service: its id there, and the last step that was sent.

Kept in the run folder, so that a resumed run goes on where it was and sends no step twice.
"""

from __future__ import annotations

from typing import Any

from tutelage.agents.common.files import RunFolderError
from tutelage.graphs.records.run_folder import RunFolder

_FILE = "loggers.json"


class Place:
    """A run's place in one service. id: None before it has one; last_step: -1 before any."""

    def __init__(self, folder: RunFolder, service: str) -> None:
        self._folder, self._service = folder, service
        stored = self._read().get(service, {})
        self.id: str | None = str(stored["id"]) if "id" in stored else None
        self.last_step = int(stored.get("last_step", -1))

    def save(self) -> None:
        """Write it down. Raises RunFolderError."""
        place = {"id": self.id, "last_step": self.last_step}
        self._folder.write_json(_FILE, {**self._read(), self._service: place})

    def _read(self) -> dict[str, Any]:
        try:
            return self._folder.read_json(_FILE)
        except RunFolderError:
            return {}
