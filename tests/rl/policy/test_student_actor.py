"""A student in a plain loop: any environment's observation in, an action of its space out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.small_students import SMALL, decided, student_for
from tutelage.rl.policy.policy import Policy, load_student
from tutelage.rl.tasks.observations import ObservationEncoder
from tutelage.rl.tasks.spaces import ActionSpace, CategoryGrid, Tokens, tokens_of

pytestmark = pytest.mark.usefixtures("one_thread")

GRU = SMALL.model_copy(update={"memory": "gru"})
OBSERVATIONS: dict[str, spaces.Space[Any]] = {
    "plain": spaces.Box(-1, 1, (3,), np.float64),
    "matrix": spaces.Box(-np.inf, np.inf, (2, 3)),
    "category": spaces.Discrete(4, start=-2),
    "categories": spaces.MultiDiscrete([[2, 3], [4, 5]], start=[[1, 0], [-1, 2]]),
    "picture": spaces.Box(0, 255, (9, 8, 3), np.uint8),
    "channels first": spaces.Box(0, 255, (3, 9, 8), np.uint8),
    "grey": spaces.Box(0, 255, (9, 8), np.uint8),
    "text": spaces.Text(20),
    "ours": spaces.Dict({"grid": CategoryGrid(3, 4, 6), "mission": Tokens(5)}),
    "nested": spaces.Dict(
        {
            "observation": spaces.Discrete(2),
            "a": spaces.Dict({"b": spaces.MultiBinary(3), "b.c": spaces.Discrete(3, start=1)}),
            "a.d": spaces.Tuple([spaces.Discrete(2), spaces.Box(0, 1, (2, 2))]),
        }
    ),
}
ACTIONS: dict[str, ActionSpace] = {
    "Discrete": spaces.Discrete(3, start=5),
    "MultiDiscrete": spaces.MultiDiscrete([2, 3], start=[1, -1]),
    "Box": spaces.Box(np.array([-0.1, 0.0]), np.array([0.1, np.inf]), dtype=np.float64),
}


def loaded(student: Policy, folder: Path) -> Policy:
    student.save(folder / "student.safetensors")
    return load_student(folder)


@pytest.mark.parametrize("kind", OBSERVATIONS)
def test_it_sees_what_it_saw_in_training(kind: str, tmp_path: Path) -> None:
    """Known by its file alone, it decides as on what the task's encoder makes of it."""
    space = OBSERVATIONS[kind]
    encoder = ObservationEncoder(space)
    student = loaded(
        decided(student_for(encoder.observation_space, spaces.Discrete(50)), 1e4), tmp_path
    )
    actor = student.policy()
    space.seed(3)
    seen = set()
    for _ in range(20):
        observation = space.sample()
        batch = encoder.empty(1)
        encoder.write(observation, batch, 0)
        found = actor(observation)
        assert found == student.act(batch)[0]
        seen.add(found)
    assert len(seen) > 1, "were all alike, nothing would tell whether it sees them"


def test_a_text_may_be_its_tokens(tmp_path: Path) -> None:
    student = loaded(decided(student_for({"observation": Tokens(6)}, spaces.Discrete(9))), tmp_path)
    actor = student.policy()
    for text in ("go to the red key", "stop", "turn left", ""):
        assert actor(text) == actor(tokens_of(text, 6))


@pytest.mark.parametrize("kind", ACTIONS)
@given(numbers=st.lists(st.floats(-9, 9, width=32), min_size=3, max_size=3), seed=st.integers(0, 9))
@settings(max_examples=20)
def test_its_actions_are_the_environments(
    kind: str, numbers: list[float], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    space = ACTIONS[kind]
    seen = {"observation": spaces.Box(-9, 9, (3,), np.float32)}
    student = loaded(
        decided(student_for(seen, space), 1e3), tmp_path_factory.mktemp("student", numbered=True)
    )
    assert student.spec.action_space == space
    for actor in (student.policy(), student.policy(seed=seed)):
        action = actor(numbers)
        assert space.contains(action), action
        assert isinstance(action, int if kind == "Discrete" else np.ndarray)


def test_a_seed_draws_actions_and_none_takes_the_likeliest() -> None:
    student = student_for({"observation": spaces.Box(-1, 1, (3,), np.float32)})
    observation = np.zeros(3)
    drawn = [[actor(observation) for _ in range(30)] for actor in map(student.policy, (1, 1, 2))]
    assert drawn[0] == drawn[1] != drawn[2]
    assert set(drawn[0]) == {0, 1, 2}
    likeliest = student.policy()
    assert len({likeliest(observation) for _ in range(9)}) == 1


def test_a_memory_lasts_for_an_episode() -> None:
    """As a batch that is stepped by hand, and from the beginning again after a reset."""
    space = {"observation": spaces.Box(-1, 1, (3,), np.float32)}
    student = decided(student_for(space, spaces.Discrete(30), GRU), 1e4)
    actor = student.policy()
    rng = np.random.default_rng(0)
    episode = rng.normal(size=(15, 3)).astype(np.float32)
    state = student.initial_state(1)
    expected = [int(student.act({"observation": o[None]}, None, state)[0]) for o in episode]
    assert [actor(o) for o in episode] == expected
    assert [actor(o) for o in episode] != expected, "it went on with what it remembered"
    actor.reset()
    assert [actor(o) for o in episode] == expected


def test_a_mask_leaves_what_it_allows() -> None:
    student = student_for({"observation": spaces.Discrete(4)}, spaces.Discrete(3, start=1))
    for allowed in range(3):
        mask = np.arange(3) == allowed
        for actor in (student.policy(), student.policy(seed=1)):
            assert actor(2, action_mask=mask.astype(np.int8)) == 1 + allowed
    actor = student.policy()
    for wrong in ([0, 0, 0], [1, 1]):
        with pytest.raises(ValueError, match="must allow one of 3 actions"):
            actor(2, action_mask=wrong)
    box = student_for({"observation": spaces.Discrete(4)}, spaces.Box(-1, 1, (2,))).policy()
    with pytest.raises(ValueError, match="a Box have no mask"):
        box(2, action_mask=[1, 1])


@pytest.mark.parametrize(
    ("kind", "observation", "says"),
    [
        ("plain", [1.0, 2.0], r"^the observation has the shape \[2\], not \[3\]$"),
        ("plain", ["a", "b", "c"], "not of numbers"),
        ("plain", [0.0, np.nan, 0.0], "not finite"),
        ("plain", {"x": 1}, "lacks 'observation'"),
        ("category", 2, "^the observation 2 is outside its space$"),
        ("category", -3, "outside"),
        ("category", 0.5, "no whole number"),
        ("picture", np.zeros((8, 8, 3), np.uint8), r"has the shape \[8, 8, 3\], not \[9, 8, 3\]"),
        ("picture", np.zeros((9, 8, 3)), "not of whole numbers"),
        ("text", 7, "has the shape"),
        ("ours", {"grid": np.zeros((3, 4), np.uint8)}, "lacks 'mission'"),
        ("ours", {"grid": np.full((3, 4), 6), "mission": "go"}, "'grid' is outside"),
        ("nested", {"observation": 1, "a": {"b": [0, 1, 0]}}, "lacks 'a.b.c'"),
    ],
)
def test_another_observation_is_refused_in_one_line(kind: str, observation: Any, says: str) -> None:
    encoder = ObservationEncoder(OBSERVATIONS[kind])
    actor = student_for(encoder.observation_space).policy()
    with pytest.raises(ValueError, match=says) as caught:
        actor(observation)
    assert len(str(caught.value).splitlines()) == 1


def test_the_five_lines_of_a_gymnasium_loop(tmp_path: Path) -> None:
    env = gym.make("Taxi-v4")
    assert isinstance(env.observation_space, spaces.Discrete)
    seen = ObservationEncoder(env.observation_space).observation_space
    student = loaded(student_for(seen, env.action_space), tmp_path).policy(seed=1)  # type: ignore[arg-type]
    observation, info = env.reset(seed=1)
    done, steps = False, 0
    while not done:
        action = student(observation, action_mask=info["action_mask"])
        observation, _, terminated, truncated, info = env.step(action)
        done, steps = terminated or truncated, steps + 1
    assert steps > 1
