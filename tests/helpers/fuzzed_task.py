"""A task of which one method or attribute is anything, from its first use on or later."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, Final, NoReturn

import numpy as np
from gymnasium import spaces

from helpers.faulty_task import ENV_METHODS, METHODS, Faultless, FaultyDials
from helpers.key_forms import KEY
from tutelage import Option, OptionStep

ATTRIBUTES: Final = (
    *("notes", "info_keys", "max_episode_steps", "action_names", "default_steps", "env"),
    *("action_space", "teacher_script", "name"),
)
PARTS: Final = (*METHODS, *ENV_METHODS, *ATTRIBUTES)


class Sulking:
    """Answers every question of Python with an error."""

    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError(f"no {name} with {KEY}")

    def _no(self, *_: Any) -> NoReturn:
        raise KeyError("no\nwith\nlines \x1b[31m")

    __repr__ = __str__ = __len__ = __iter__ = __bool__ = __eq__ = __hash__ = _no
    __float__ = __int__ = __index__ = __array__ = __getitem__ = _no


def _raising(error: BaseException) -> Callable[[], Any]:
    def fails() -> NoReturn:
        raise error

    return fails


VALUES: Final[tuple[Callable[[], Any], ...]] = (
    *(lambda value=value: value for value in (None, True, -1, 0, 2**70, 1.5, float("nan"))),
    *(lambda value=value: value for value in ("", "\ud800", "\x1b[2J", KEY, "x" * 10_000, b"\xff")),
    *(lambda value=value: value for value in ((), [], {}, {1, 2}, range(3), [None], [[1], [2, 3]])),
    *(lambda name=name: [Option(name)] for name in ("", " ", "a b", "\0", "\ud800", KEY, "x" * 99)),
    lambda: [Option("follow")] * 3,
    lambda: [Option("follow", "\x1b[2J"), Option("follow", "")],
    lambda: [Option(f"o{number}") for number in range(3000)],
    lambda: [Option(1)],  # type: ignore[arg-type]
    lambda: OptionStep(),
    lambda: OptionStep(action=[9, 9]),
    lambda: OptionStep(action=float("nan")),
    lambda: OptionStep(probs=[[0.5, float("nan"), 0.5], [0.25] * 4]),
    lambda: OptionStep(probs=[[-1, 1, 1], [0.25] * 4]),
    lambda: OptionStep(action=[1, 0], std=float("inf")),
    lambda: OptionStep(action="x", finished="no"),  # type: ignore[arg-type]
    lambda: np.array([]),
    lambda: np.array([np.nan, np.inf]),
    lambda: np.zeros((3, 4, 5)),
    lambda: np.array(["a", None], dtype=object),
    lambda: np.float64(0.5),
    lambda: reduce(lambda inner, _: [inner], range(900), "deep"),
    lambda: (np.array([1, 0]), {"hits": Sulking()}),
    lambda: (np.array([1, 0]), float("nan"), False, False, {"hits": 0}),
    lambda: (np.array([1, 0]), 10**400, 0, 1, None),
    lambda: (np.array([9, 9]), "much", None, [], {}),
    lambda: ([1, 0], None),
    lambda: spaces.Box(-1, 1, ()),
    lambda: spaces.Discrete(2**40),
    lambda: spaces.Dict({}),
    lambda: spaces.Graph(spaces.Discrete(2), None),
    lambda: spaces.Text(5),
    lambda: (number for number in range(3)),
    lambda: lambda *_: None,
    lambda: int,
    Sulking,
    lambda: [Sulking()],
    _raising(ZeroDivisionError(f"with {KEY}")),
    _raising(RecursionError("too deep")),
    _raising(StopIteration()),
    _raising(SystemExit(5)),
    _raising(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd")),
    _raising(KeyError(Sulking())),
)
"""What a part of a task may be or do: each makes the value anew."""


def make(part: str, value: int, after: int = 0) -> Faultless:
    """A task. value: the number of it in VALUES; after: how often a method is right before."""
    left = [after]
    make_value = VALUES[value]
    if part in ENV_METHODS:

        class Env(FaultyDials):
            def _go(self, where: str) -> Any:
                if where != part:
                    return None
                left[0] -= 1
                return make_value() if left[0] < 0 else None

        members: dict[str, Any] = {"__init__": lambda self: _with_env(self, Env)}
    elif part in METHODS:
        right = vars(Faultless).get(part) or getattr(Faultless, part)
        usual = right.fget if isinstance(right, property) else right

        def wrong(*given: Any) -> Any:
            left[0] -= 1
            return make_value() if left[0] < 0 else usual(*given)

        members = {part: property(wrong) if isinstance(right, property) else wrong}
    else:
        members = {part: make_value()}
    made: Faultless = type("Fuzzed", (Faultless,), members)()
    return made


def _with_env(task: Faultless, env: type[FaultyDials]) -> None:
    Faultless.__init__(task)
    task.env = env
