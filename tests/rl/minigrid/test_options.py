"""Options: each label is the judged one, following labels leads to the option's end in the world.

The judge is `grid_judge.Known.judge`, which keeps the first of all shortest ways to every pose; the
world is `grid_judge.Shadow`, MiniGrid alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from helpers.grid_judge import (
    AROUND,
    CODES,
    COLORS,
    EVERY_TASK,
    JUMBLES,
    ROOMS,
    SHIPPED,
    WORDS,
    Known,
    Shadow,
    Verdict,
    Wanderer,
    Way,
    case,
    patient_case,
    shadows_of,
)
from tutelage.rl.minigrid.codes import DROP as DROP_ACTION
from tutelage.rl.minigrid.codes import FORWARD, LEFT, NUM_CODES, PICKUP, RIGHT, TOGGLE
from tutelage.rl.minigrid.options import encode_option
from tutelage.rl.minigrid.task import GridTask
from tutelage.rl.minigrid.vector import GridStates
from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.options import PADDING, Option, OptionActions

EXPLORE, DROP = Option("explore"), Option("drop")
KINDS = ("key", "ball", "box", "door")
THINGS = [f"{color} {kind}" for color in COLORS for kind in KINDS] + ["green goal"]
POOL = [EXPLORE, DROP]
POOL += [Option("go_to", thing) for thing in THINGS]
POOL += [Option("pick_up", thing) for thing in THINGS if thing.endswith(("key", "ball", "box"))]
POOL += [Option("open", thing) for thing in THINGS if thing.endswith(("box", "door"))]
every_task = pytest.mark.parametrize("name", EVERY_TASK)


def coded(rows: list[list[Option]]) -> IntArray:
    """Option codes, int64 [B, K], padded."""
    codes = np.full((len(rows), max(map(len, rows), default=0)), PADDING, dtype=np.int64)
    for row, options in zip(codes, rows, strict=True):
        row[: len(options)] = [encode_option(option) for option in options]
    return codes


def label(done: OptionActions, row: int, k: int) -> int | None:
    """The one action that an option's distribution is on; None where it is all zero."""
    probs = done.targets[row, k]
    assert probs.dtype == np.float32
    assert sorted(probs)[:-1] == [0] * (len(probs) - 1)
    assert probs.max() in (0, 1)
    return int(probs.argmax()) if probs.any() else None


def check_answer(done: OptionActions, row: int, k: int, verdict: Verdict) -> None:
    """The flags and the action of an option are those of the judge."""
    assert bool(done.finished[row, k]) is verdict.finished
    if not verdict.finished:
        assert bool(done.feasible[row, k]) is (verdict.way is not None)
    assert label(done, row, k) == (verdict.way[0] if verdict.way else None)


def read(states: GridStates, row: int, carried: str | None) -> Known:
    view = states.views.shape[2]
    return Known.read(states.maps[row], states.poses[row], carried, view)


@dataclass
class Walk:
    """An option that is being followed, and what the judge promised when the map last changed."""

    option: Option | None = None
    cells: bytes = b""
    promised: Way = ()


def keep_promise(walk: Walk, option: Option | None, cells: bytes, way: Way) -> None:
    """While the known map stays the same, each step is the next of the way promised before."""
    if walk.option is not None and option == walk.option and cells == walk.cells:
        assert way == walk.promised[1:]
    walk.option, walk.cells, walk.promised = option, cells, way


def check_end(option: Option, shadow: Shadow, before: Known, reward: float, ended: bool) -> None:
    """After the last action of its way, an option has really done what its name says."""
    place, heading = shadow.pose
    front, target = place + 1j**heading, str(option.target)
    if option.name == "explore":
        assert before.frontier & shadow.seen.keys()
    elif option.name == "go_to" and target == "green goal":
        assert shadow.true_word(place) == target
        assert ended
        assert reward > 0
    elif option.name == "go_to":
        assert shadow.ahead().partition(" (")[0] == target
    elif option.name == "pick_up":
        assert shadow.carried == target
    elif option.name == "drop":
        assert shadow.carried is None
        assert shadow.ahead() == before.carried
        assert not any("door" in shadow.true_word(front + step) for step in AROUND)
    elif "door" in target:
        assert shadow.ahead() == f"{target} (open)"
    else:
        assert before.word(front) == target != shadow.ahead()


@every_task
def test_every_label_is_the_judged_one_and_leads_to_the_end(name: str) -> None:
    num_envs, seed = 3, 21
    tested = case(name)
    envs = tested.task.make_envs(num_envs, "train", seed)
    envs.reset()
    shadows = shadows_of(tested.env_id, num_envs, "train", seed)
    rng = np.random.default_rng(seed)
    walks = [Walk() for _ in range(num_envs)]
    ended: Counter[str] = Counter()
    for _ in range(150 if name in JUMBLES else 90):
        states, situation_ids = envs.states(), tested.task.situation_ids(envs.states())
        offered = [
            [*tested.task.options(int(s)), *(POOL[int(k)] for k in rng.integers(len(POOL), size=3))]
            for s in situation_ids
        ]
        done = tested.task.act(coded(offered), states)
        actions = rng.integers(LEFT, FORWARD, size=num_envs, endpoint=False)
        finishing: dict[int, tuple[Option, Known]] = {}
        for i, walk in enumerate(walks):
            known = read(states, i, shadows[i].carried)
            verdicts = known.judge(offered[i])
            for k, option in enumerate(offered[i]):
                check_answer(done, i, k, verdicts[option])
            ways = {option: verdict.way for option, verdict in verdicts.items() if verdict.way}
            held = choose(ways, walk.option, rng)
            keep_promise(walk, held, states.maps[i].tobytes(), ways[held] if held else ())
            if held is None:
                continue
            actions[i] = label(done, i, offered[i].index(held)) or LEFT
            place, heading = known.pose
            assert actions[i] != FORWARD or known.walkable(place + 1j**heading)
            if len(ways[held]) == 1:
                finishing[i] = held, known
                walk.option = None
        result = envs.step(actions)
        over = result.terminated | result.truncated
        for i, shadow in enumerate(shadows):
            reward, *_ = shadow.step(int(actions[i]))
            if i in finishing:
                check_end(finishing[i][0], shadow, finishing[i][1], reward, bool(over[i]))
                ended[finishing[i][0].name] += 1
            if over[i]:
                assert result.truncated[i] or reward > 0  # labels never lead into lava
                walks[i] = Walk()
                shadow.begin()
    assert ended["explore"] > 0 or name == "MiniGrid-Empty-5x5-v0"
    if name in JUMBLES:
        assert min(ended[verb] for verb in ("go_to", "pick_up", "drop", "open")) > 3


def choose(ways: dict[Option, Way], held: Option | None, rng: np.random.Generator) -> Option | None:
    """Keep to an option while it has a way, else take any."""
    if held in ways:
        return held
    return list(ways)[int(rng.integers(len(ways)))] if ways else None


def states_of(cells: list[str], pose: tuple[int, int, int], carried: str | None) -> GridStates:
    """One state on a hand-made map whose view shows nothing but what is carried.

    cells: the words of a square map, row by row; pose: x, y, heading.
    """
    side = round(len(cells) ** 0.5)
    view = np.zeros((1, 3, 3), dtype=np.uint8)
    view[0, 2, 1] = CODES[carried or "floor"]
    return GridStates(
        maps=np.array([CODES[word] for word in cells], dtype=np.uint8).reshape(1, side, side),
        views=view,
        poses=np.array([pose], dtype=np.int64),
        unexplored=np.zeros(1, dtype=np.bool_),
        missions=np.zeros(1, dtype=np.int64),
    )


def test_labels_on_maps_that_no_world_would_give() -> None:
    """Anything beside anything, up to the edge of the map, unknown cells in between."""
    task, rng = case("SimpleDoorKey").task, np.random.default_rng(0)
    plain = [CODES[word] for word in ("unknown", "floor", "wall", "lava", "green goal")]
    things = np.arange(NUM_CODES)[len(plain) :]
    ways: Counter[str] = Counter()
    for _ in range(250):
        side = int(rng.choice([5, 7, 9]))
        codes = rng.choice(plain, size=side * side, p=[0.1, 0.68, 0.12, 0.05, 0.05])
        few = rng.choice(things, size=6)  # few kinds, so that one kind lies in several places
        codes = np.where(rng.random(side * side) < 0.2, rng.choice(few, side * side), codes)
        x, y, heading = (int(n) for n in (*rng.integers(side, size=2), rng.integers(4)))
        codes[y * side + x] = CODES["floor"]
        kind = WORDS[int(rng.choice(few))]
        carried = kind if rng.random() < 0.5 and "door" not in kind else None
        states = states_of([WORDS[code] for code in codes], (x, y, heading), carried)
        names = [WORDS[code].partition(" (")[0] for code in few]
        options = [o for o in POOL if o.target is None or o.target in (*names, "green goal")]
        done = task.act(coded([options]), states)
        verdicts = read(states, 0, carried).judge(options)
        for k, option in enumerate(options):
            check_answer(done, 0, k, verdicts[option])
            ways[option.name] += len(verdicts[option].way or ()) > 1
    assert min(ways[name] for name in ("explore", "go_to", "pick_up", "drop", "open")) > 15


SIGNS = {
    "?": "unknown",
    ".": "floor",
    "#": "wall",
    "~": "lava",
    "G": "green goal",
    "k": "red key",
    "b": "red box",
    "L": "red door (locked)",
    "+": "red door (closed)",
    "/": "red door (open)",
}
KEY, BOX, DOOR, GOAL = "red key", "red box", "red door", "green goal"


@pytest.mark.parametrize(
    ("picture", "carried", "option", "expected"),
    [
        ("##### #...# #...# #.^.# #####", None, EXPLORE, "finished"),
        ("????? #...# #...# #.^.# #####", None, EXPLORE, FORWARD),  # from row 1 row 0 is seen
        ("##### #...? #...# #.^.# #####", None, EXPLORE, FORWARD),
        ("????? #...# #.^.# ?...# ?????", None, EXPLORE, FORWARD),  # three come before one
        ("????? #...# #.^.# #...? #####", None, EXPLORE, FORWARD),
        ("##### #...# #.^.# #...? #####", None, EXPLORE, RIGHT),  # one is better than none
        ("????? #~~~# #.^.# #...# #####", None, EXPLORE, "finished"),  # beyond lava: nothing
        ("????? ?###? ?#^#? ?###? ?????", None, EXPLORE, "finished"),
        ("##### #.k.# #...# #.^.# #####", None, Option("go_to", KEY), FORWARD),
        ("##### #...# #.k.# #.^.# #####", None, Option("go_to", KEY), "finished"),
        ("##### #...# #...# #kv.# #####", None, Option("go_to", KEY), RIGHT),
        ("##### #...# #.^.# #.k.# #####", None, Option("go_to", KEY), LEFT),  # a tie
        ("##### #.k.# #~~~# #.^.# #####", None, Option("go_to", KEY), "infeasible"),
        ("##### #.k.# #??~# #.^.# #####", None, Option("go_to", KEY), "infeasible"),
        ("##### #.k.# #.~.# #.^.# #####", None, Option("go_to", KEY), LEFT),  # around lava
        ("##### #.k.# #?~.# #.^.# #####", None, Option("go_to", KEY), RIGHT),  # known way round
        ("##### #.G.# #...# #.^.# #####", None, Option("go_to", GOAL), FORWARD),
        ("##### #...# #.L.# #.^.# #####", None, Option("go_to", DOOR), "finished"),
        ("##### #...# #./.# #.^.# #####", None, Option("go_to", DOOR), "finished"),
        ("##### #...# #.k.# #.^.# #####", None, Option("pick_up", KEY), PICKUP),
        ("##### #...# #.k.# #.^.# #####", KEY, Option("pick_up", KEY), "finished"),
        ("##### #...# #.k.# #.^.# #####", BOX, Option("pick_up", KEY), "infeasible"),
        ("##### #...# #.b.# #.^.# #####", None, Option("open", BOX), TOGGLE),
        ("##### #...# #.+.# #.^.# #####", None, Option("open", DOOR), TOGGLE),
        ("##### #...# #.L.# #.^.# #####", None, Option("open", DOOR), "infeasible"),
        ("##### #...# #.L.# #.^.# #####", BOX, Option("open", DOOR), "infeasible"),
        ("##### #...# #.L.# #.^.# #####", KEY, Option("open", DOOR), TOGGLE),
        ("##### #...# #./.# #.^.# #####", KEY, Option("open", DOOR), "finished"),
        ("##L## #...# #./.# #.^.# #####", KEY, Option("open", DOOR), FORWARD),  # one is shut yet
        ("##### #...# #...# #.^.# #####", None, DROP, "finished"),
        ("##### #...# #...# #.^.# #####", KEY, DROP, DROP_ACTION),
        ("##L## #...# #.^.# #...# #####", KEY, DROP, LEFT),  # not into the doorway
        ("##### ##L## ##.## ##^## #####", KEY, DROP, FORWARD),  # to turn and put it down behind
        ("##### ##.## ##/## ##^## #####", KEY, DROP, "infeasible"),  # nor behind an open door
    ],
)
def test_labels_on_hand_made_maps(
    picture: str, carried: str | None, option: Option, expected: str | int
) -> None:
    rows = picture.split()
    ((x, y, heading),) = [
        (x, y, ">v<^".index(sign))
        for y, row in enumerate(rows)
        for x, sign in enumerate(row)
        if sign in ">v<^"
    ]
    cells = [SIGNS.get(sign, "floor") for sign in "".join(rows)]
    states = states_of(cells, (x, y, heading), carried)
    done = case("SimpleDoorKey").task.act(coded([[option]]), states)
    if expected == "finished":
        assert done.finished[0, 0]
    elif expected == "infeasible":
        assert not done.finished[0, 0]
        assert not done.feasible[0, 0]
        assert label(done, 0, 0) is None
    else:
        assert not done.finished[0, 0]
        assert done.feasible[0, 0]
        assert label(done, 0, 0) == expected


@pytest.mark.parametrize("name", SHIPPED)
def test_explore_ends_when_all_that_can_be_reached_is_known(name: str) -> None:
    """Within the judged number of steps the map grows, until nothing unknown can be stepped to."""
    tested, num_envs, seed = patient_case(name), 5, 2
    envs = tested.task.make_envs(num_envs, "train", seed)
    envs.reset()
    shadows = shadows_of(tested.env_id, num_envs, "train", seed)
    options = coded([[EXPLORE]] * num_envs)
    left = np.zeros(num_envs, dtype=np.int64)
    maps = np.zeros_like(envs.states().maps)
    exploring, by_goal = np.ones(num_envs, dtype=np.bool_), 0
    while exploring.any():
        states, done = envs.states(), tested.task.act(options, envs.states())
        for i in np.flatnonzero(exploring & ~done.finished[:, 0]):
            if (states.maps[i] != maps[i]).any():
                way = read(states, int(i), None).judge([EXPLORE])[EXPLORE].way
                assert way is not None
                left[i], maps[i] = len(way), states.maps[i]
            assert left[i] > 0, "the aim was reached and the map has not grown"
            left[i] -= 1
        for i in np.flatnonzero(exploring & done.finished[:, 0]):
            known = read(states, int(i), None)
            stood = {place for (place, _), _ in known.ways()}
            assert not [p + step for p in stood for step in AROUND if p + step not in known.cells]
            assert known.judge([EXPLORE])[EXPLORE].finished
            assert all(shadows[i].true_word(place) == word for place, word in known.cells.items())
        exploring &= ~done.finished[:, 0]
        actions = done.targets[:, 0].argmax(axis=1)
        result = envs.step(actions, exploring)
        for i in np.flatnonzero(exploring):
            shadows[i].step(int(actions[i]))
        over = result.terminated | result.truncated
        assert (result.rewards[over] > 0).all()  # on the way it may have stepped on the goal
        by_goal += int(over.sum())
        exploring &= ~over
    assert by_goal == 0 or name not in ROOMS
    assert by_goal < num_envs


def follow(task: GridTask, states: GridStates, held: IntArray) -> tuple[IntArray, IntArray]:
    """Actions int64 [B] by the first option of each row that is not done, and its place, or -1."""
    done = task.act(held, states)
    runnable = done.feasible & ~done.finished
    current = np.where(runnable.any(axis=1), runnable.argmax(axis=1), -1)
    labels = done.targets[np.arange(len(held)), current].argmax(axis=1)
    return np.where(current >= 0, labels, LEFT), current


def test_no_label_leads_into_lava_that_was_seen() -> None:
    num_envs, task = 80, case("LavaDoorKey").task
    envs = task.make_envs(num_envs, "train", 31)
    envs.reset()
    rng, held = np.random.default_rng(31), np.full((num_envs, 2), PADDING, dtype=np.int64)
    near, ended = 0, 0
    for _ in range(150):
        situation_ids = task.situation_ids(envs.states())
        for i in np.flatnonzero(rng.random(num_envs) < 0.2):
            offered = task.options(int(situation_ids[i])) or (EXPLORE,)
            held[i] = [encode_option(offered[int(k)]) for k in rng.integers(len(offered), size=2)]
        actions, current = follow(task, envs.states(), held)
        side = envs.states().views.shape[2]
        at_lava = envs.states().views[:, side - 2, side // 2] == CODES["lava"]
        assert not (at_lava & (actions == FORWARD)).any()
        near += int((at_lava & (current >= 0)).sum())
        # Turns of its own accord take it to other sides of things.
        wild = rng.random(num_envs) < 0.1
        result = envs.step(np.where(wild, rng.integers(LEFT, RIGHT + 1, size=num_envs), actions))
        assert (result.rewards[result.terminated] > 0).all()
        ended += int(result.terminated.sum())
    assert near > 100
    assert ended > 50


@pytest.mark.parametrize("name", ["ColoredDoorKey", "MiniGrid-DoorKey-8x8-v0"])
def test_nothing_is_put_down_beside_a_door(name: str) -> None:
    """Also none that comes into sight only later: keys are carried about and dropped anywhere."""
    tested, num_envs, seed = case(name), 8, 41
    envs = tested.task.make_envs(num_envs, "train", seed)
    envs.reset()
    shadows = shadows_of(tested.env_id, num_envs, "train", seed)
    rng = np.random.default_rng(seed)
    drop = np.full((num_envs, 1), encode_option(DROP), dtype=np.int64)
    keys = [Option("pick_up", f"{color} key") for color in ("red", "blue", "yellow")]
    grabs = coded([[*keys, EXPLORE]] * num_envs)
    dropped = 0
    for _ in range(100):
        actions, _ = follow(tested.task, envs.states(), grabs)
        drops, dropping = follow(tested.task, envs.states(), drop)
        use = (dropping >= 0) & (rng.random(num_envs) < 0.6)
        turns = rng.integers(LEFT, FORWARD + 1, size=num_envs)
        carrying = np.array([shadow.carried is not None for shadow in shadows])
        actions = np.where(use, drops, np.where(carrying, turns, actions))
        result = envs.step(actions)
        for i, shadow in enumerate(shadows):
            shadow.step(int(actions[i]))
            if use[i] and actions[i] == DROP_ACTION:
                place, heading = shadow.pose
                front = place + 1j**heading
                assert shadow.carried is None
                assert not any("door" in shadow.true_word(front + step) for step in AROUND)
                dropped += 1
            if result.terminated[i] or result.truncated[i]:
                shadow.begin()
    assert dropped > 50


@every_task
def test_kept_states_are_answered_like_the_live_ones(name: str) -> None:
    """Row by row, over new episodes and idle steps, also after further steps of the worlds."""
    num_envs, num_steps, seed = 3, 60, 51
    task = case(name).task
    envs = task.make_envs(num_envs, "train", seed)
    envs.reset()
    wanderer, rng = Wanderer(task, num_envs, seed, noise=0.3), np.random.default_rng(seed)
    for between in (0, 7):
        for _ in range(between):
            envs.step(wanderer.actions(envs.states()))
        kept, options, live, situation_ids = [], [], [], []
        pictures: list[str] = []
        for t in range(num_steps):
            if t == 30:  # some levels take longer than this test for an episode to end
                envs.reset()
            rows = [[POOL[int(k)] for k in rng.integers(len(POOL), size=6)] for _ in range(3)]
            for row, situation_id in zip(rows, task.situation_ids(envs.states()), strict=True):
                row[: rng.integers(4)] = task.options(int(situation_id))[:3]
            kept.append(envs.states()[:])
            options.append(np.full((num_envs, 9), PADDING, dtype=np.int64))
            chosen = coded(rows)
            options[-1][:, : chosen.shape[1]] = chosen
            options[-1][rng.random((num_envs, 9)) < 0.2] = PADDING
            options[-1][rng.random(num_envs) < 0.1] = PADDING
            live.append(task.act(options[-1], envs.states()))
            situation_ids.append(task.situation_ids(envs.states()))
            pictures.append(task.picture(envs.states(), len(pictures) % num_envs))
            actions = wanderer.actions(envs.states())
            envs.step(actions, rng.random(num_envs) >= 0.1)
        for _ in range(5):  # the worlds go on
            envs.step(wanderer.actions(envs.states()))
        states = GridStates.concat(kept)
        assert len(states) == num_steps * num_envs
        recorded = task.act(np.concatenate(options), states)
        for field in ("targets", "feasible", "finished"):
            expected = np.concatenate([getattr(done, field) for done in live])
            np.testing.assert_array_equal(getattr(recorded, field), expected)
        padding = np.concatenate(options) == PADDING
        assert not recorded.targets[padding].any()
        assert not recorded.feasible[padding].any()
        assert not recorded.finished[padding].any()
        np.testing.assert_array_equal(task.situation_ids(states), np.concatenate(situation_ids))
        for t in range(0, num_steps, 7):
            assert task.picture(states, t * num_envs + t % num_envs) == pictures[t]
        some = np.array([5, 0, num_steps])
        for field in ("targets", "feasible", "finished"):
            of_some = getattr(task.act(np.concatenate(options)[some], states[some]), field)
            np.testing.assert_array_equal(of_some, getattr(recorded, field)[some])


@pytest.mark.parametrize("width", [0, 1, 4])
def test_no_options_no_actions(width: int) -> None:
    task = case("SimpleDoorKey").task
    envs = task.make_envs(2, "train", 1)
    envs.reset()
    done = task.act(np.full((2, width), PADDING, dtype=np.int64), envs.states())
    assert done.targets.shape == (2, width, len(task.action_names))
    assert not any(part.any() for part in (done.targets, done.feasible, done.finished))
