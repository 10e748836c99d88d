"""Tasks of `gym_tasks` with scripts, so that the embedded teacher can teach them."""

# ruff: noqa: ARG002 - a script is told the situation, whether it needs it or not

from __future__ import annotations

from helpers.gym_tasks import Car, DialTask
from tutelage import Option


class TaughtCar(Car):
    """A Box for an action."""

    action_names = ("throttle",)

    def script(self, situation: str) -> tuple[Option, ...]:
        return (Option("pump"),)


class TaughtDials(DialTask):
    """Two discrete actions at once."""

    action_names = ("upper", "lower")

    def script(self, situation: str) -> tuple[Option, ...]:
        return (Option("follow"),)
