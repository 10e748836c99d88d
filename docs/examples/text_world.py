"""A text world of one's own, in which something must be remembered.

The text tells of one room only; `remember` and `encode` add what was seen before. In this folder:

    tutelage run --env text_world:TextWorld --steps 40000 --set ppo.minibatch_size=128
"""

import gymnasium as gym

from tutelage import GymTask, Option, OptionStep

WEST, EAST, TAKE, OPEN = range(4)
ROOMS = ("garden", "hall", "cellar")
GO_TO = {room: Option("go_to", room, help="Walk there.") for room in ROOMS}
DEEDS = {
    Option("open_chest", help="Open the chest that is seen here."): ("chest", OPEN),
    Option("take_lamp", help="Pick up the lamp that lies here."): ("lamp", TAKE),
}


class House(gym.Env):
    """Opening the chest brings 1, each step costs 0.02."""

    observation_space = gym.spaces.Text(150, charset="abcdefghijklmnopqrstuvwxyz: -\n")
    action_space = gym.spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.room, self.chest, lamp = map(int, self.np_random.integers(3, size=3))
        self.lamp = lamp % 2  # its room, not the cellar; None once it is in hand
        return self._look(), {}

    def step(self, action):
        opened = bool(action == OPEN and "chest" in self._look())
        self.lamp = None if action == TAKE and self.lamp == self.room else self.lamp
        self.room = min(max(self.room + int(action == EAST) - int(action == WEST), 0), 2)
        return self._look(), opened - 0.02, opened, False, {}

    def _look(self):
        room, held = ROOMS[self.room], "nothing" if self.lamp is not None else "lamp"
        things = ["lamp"] * (self.lamp == self.room) + ["chest"] * (self.chest == self.room)
        seen = "darkness" if (room, held) == ("cellar", "nothing") else "-".join(things)
        return f"here: {room}\nhand: {held}\n{room}: {seen or 'nothing'}"


class TextWorld(GymTask):
    notes = "Garden, hall and cellar lie in a row, west to east. A lamp in hand lights the cellar."
    max_episode_steps = 20

    def __init__(self):
        super().__init__(House)

    def remember(self, memory, obs, info):
        before = memory or dict.fromkeys(("here", "hand", *ROOMS), "unknown")
        return before | dict(line.split(": ") for line in obs.splitlines())

    def encode(self, obs, info):
        return "\n".join(f"{field}: {value}" for field, value in info["memory"].items())

    def situation(self, obs, info):
        return f"mission: open the chest\n{self.encode(obs, info)}"

    def options(self, situation):
        return (*GO_TO.values(), *DEEDS)

    def run_option(self, option, obs, info):
        here = info["memory"]["here"]
        if option in DEEDS:
            thing, action = DEEDS[option]
            return OptionStep(action if thing in info["memory"][here] else None)
        east = ROOMS.index(option.target) > ROOMS.index(here)
        return OptionStep(EAST if east else WEST, finished=option.target == here)

    def script(self, situation):
        known = dict(line.split(": ") for line in situation.splitlines())
        for deed, (thing, _) in DEEDS.items():
            if rooms := [room for room in ROOMS if thing in known[room]]:
                return GO_TO[rooms[0]], deed
        return (GO_TO[next((room for room in ROOMS if known[room] == "unknown"), "cellar")],)
