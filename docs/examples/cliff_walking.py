"""CliffWalking: an environment without a time limit, and a success of one's own.

One option leads along the cliff in several rows: at its edge the way is short, further off it is
safe while the student still stumbles. In this folder:

    tutelage run --env cliff_walking:CliffWalking --steps 20000
"""

from tutelage import GymTask, Option, OptionStep

UP, RIGHT, DOWN, LEFT = range(4)
ROW = {"edge": 2, "middle": 1, "far wall": 0}
LAST_COLUMN = 11

STEP_DOWN = Option("step_down", help="Down to the goal, once the agent is right above it.")
FOLLOW = {row: Option("follow", row, help="Go to that row, then right to its end.") for row in ROW}


class CliffWalking(GymTask):
    notes = (
        "A grid of 4 rows and 12 columns. Start and goal are the ends of the lowest row; between "
        "them is a cliff. Each step costs 1. Stepping off the cliff costs 100 and leads back to "
        "the start. The row above the cliff is its edge: the shortest way, 13 steps."
    )
    action_names = ("up", "right", "down", "left")
    max_episode_steps = 100

    def __init__(self):
        super().__init__("CliffWalking-v1")

    def situation(self, obs, info):
        row, column = divmod(int(obs), 12)
        names = {number: f"the row of the {name}" for name, number in ROW.items()}
        place = "above the goal" if column == LAST_COLUMN else names.get(row, "the start")
        return f"mission: walk around the cliff to the goal\nplace: {place}"

    def options(self, situation):
        return (*FOLLOW.values(), STEP_DOWN)

    def run_option(self, option, obs, info):
        row, column = divmod(int(obs), 12)
        if option == STEP_DOWN:
            return OptionStep(DOWN if column == LAST_COLUMN else None)
        if column == LAST_COLUMN:
            return OptionStep(finished=True)
        ahead = row - ROW[option.target]
        return OptionStep(UP if ahead > 0 else DOWN if ahead < 0 else RIGHT)

    def script(self, situation):
        return FOLLOW["edge"], STEP_DOWN

    def success(self, episode):
        return episode.terminated and episode.return_ >= -20
