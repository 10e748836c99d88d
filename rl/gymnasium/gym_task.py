"""`GymTask`: the class that people derive from, so that any Gymnasium environment is a task."""

from __future__ import annotations

from tutelage.rl.gymnasium.definition import TaskDefinition
from tutelage.rl.gymnasium.task import GymnasiumTask


class GymTask(TaskDefinition):
    """A Gymnasium environment, and what a teacher needs to talk about it: three methods.

        PUMP = Option("pump", help="Full throttle in the direction of motion.")
        COAST = Option("coast", help="No throttle.")

        class MountainCar(GymTask):
            notes = "A car too weak to climb stands in a valley. The flag is on the right hill."

            def __init__(self):
                super().__init__("MountainCarContinuous-v0")

            def situation(self, obs, info):
                return f"moving: {'left' if obs[1] < 0 else 'right'}"

            def options(self, situation):
                return PUMP, COAST

            def run_option(self, option, obs, info):
                action = np.sign(obs[1]) or 1.0
                return OptionStep(action=[action if option == PUMP else 0.0], std=0.3)

    Arguments, attributes and the other methods: see `rl.gymnasium.definition.TaskDefinition`.
    """

    def as_task(self, name: str | None = None) -> GymnasiumTask:
        """The task as the rest of Tutelage takes it. name: what people call it by.

        Raises UserError where the environment cannot be made, or where it has spaces that no
        student can see or act in.
        """
        return GymnasiumTask(self, name or type(self).__name__)
