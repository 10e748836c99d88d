r"""Taxi: discrete observations, discrete actions, and a plan of four options.

The student sees Gymnasium's number of the state, nothing else. In this folder:

    tutelage run --env taxi:Taxi --steps 80000 --set ppo.minibatch_size=128 \
        --set weaning.floor_at=0.8 --set weaning.removal_at=0.9 --set evaluation.episodes=200
"""

from functools import cache

from gymnasium.envs.toy_text.taxi import TaxiEnv

from tutelage import GymTask, Option, OptionStep

MAP = TaxiEnv().P  # [state][action]: [(probability, next state, reward, terminated)]
PLACES = {"red": (0, 0), "green": (0, 4), "yellow": (4, 0), "blue": (4, 3)}
MOVES, PICK_UP, DROP_OFF = range(4), 4, 5
TAKE = Option("pick_up", help="Let the passenger in; the taxi must stand where they wait.")
LEAVE = Option("drop_off", help="Let the passenger out; the taxi must be at a named place.")
GO_TO = {place: Option("go_to", place, help="Drive there by a shortest way.") for place in PLACES}


def decode(obs):
    """(the taxi's row and column, where the passenger is, where they want to go)."""
    rest, destination = divmod(int(obs), 4)
    cell, passenger = divmod(rest, 5)
    return divmod(cell, 5), [*PLACES, "in the taxi"][passenger], list(PLACES)[destination]


@cache
def first_move(obs, place):
    """The first move of a shortest way, by breadth-first search; None where it ends."""
    found, queue = {obs: None}, [obs]
    for state in queue:  # the queue grows while it is read
        if decode(state)[0] == PLACES[place]:
            return found[state]
        for move in MOVES:
            ahead = MAP[state][move][0][1]
            if ahead not in found:
                found[ahead] = move if state == obs else found[state]
                queue.append(ahead)
    return None


class Taxi(GymTask):
    notes = (
        "A taxi drives on a grid of 5 by 5 cells with walls. A passenger waits at one of four "
        "places and wants to be dropped off at another. Each step costs 1; letting somebody in or "
        "out at the wrong place costs 10; the right drop-off brings 20 and ends the episode."
    )

    action_names = ("south", "north", "east", "west", "pick up", "drop off")

    def __init__(self):
        super().__init__("Taxi-v4")

    def situation(self, obs, info):
        _, passenger, destination = decode(obs)
        return f"mission: bring the passenger to {destination}\npassenger: {passenger}"

    def options(self, situation):
        return (*GO_TO.values(), TAKE, LEAVE)

    def run_option(self, option, obs, info):
        cell, passenger, _ = decode(obs)
        riding = passenger not in PLACES
        if option == TAKE:
            return OptionStep(PICK_UP if cell == PLACES.get(passenger) else None, finished=riding)
        if option == LEAVE:
            return OptionStep(DROP_OFF if riding and cell in PLACES.values() else None)
        move = first_move(int(obs), option.target)
        return OptionStep(move, finished=move is None)

    def script(self, situation):
        mission, passenger = situation.splitlines()
        bring = (GO_TO[mission.split()[-1]], LEAVE)
        place = passenger.removeprefix("passenger: ")
        return (GO_TO[place], TAKE, *bring) if place in PLACES else bring
