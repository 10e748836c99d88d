"""The corridor of `toy_task` with scripts of all kinds: none, silent, wrong, and broken ones."""

from __future__ import annotations

from helpers.toy_task import Corridor
from tutelage.rl.tasks.options import Option, Plan
from tutelage.rl.tasks.scripts import ScriptedByPlan


class Unscripted(Corridor):
    """Nobody wrote a script."""

    name = "Unscripted"
    script = ScriptedByPlan.script


class Silent(Corridor):
    """The script says nothing once the lever is pulled."""

    def script(self, situation: str) -> Plan | None:
        return None if "lever (down)" in situation else super().script(situation)


class Wrong(Corridor):
    """The script names what is not on offer."""

    def script(self, situation: str) -> Plan | None:  # noqa: ARG002  # the base class's
        return (Option("fly"),)


class Broken(Corridor):
    """The script fails once the lever is pulled."""

    def script(self, situation: str) -> Plan | None:
        if "lever (down)" in situation:
            raise KeyError(situation)
        return super().script(situation)
