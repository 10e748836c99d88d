"""The check of a task: each promise of `rl.tasks.base` is tried, and a line says what was found.

For people who bring an environment of their own, as Stable-Baselines3's `check_env` is for
environments: what breaks a promise spoils a run hours later, or silently.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from tutelage.rl.advice.advice import Advice
from tutelage.rl.errors import UserError
from tutelage.rl.rollouts.replay import EpisodeReplay, ReplayError
from tutelage.rl.rollouts.teacher_episodes import TeacherEpisodes
from tutelage.rl.tasks.action_targets import action_targets
from tutelage.rl.tasks.arrays import ActionArray, BoolArray, FloatArray, IntArray
from tutelage.rl.tasks.base import (
    Episode,
    Observation,
    Split,
    States,
    StepResult,
    Task,
    VectorEnv,
)
from tutelage.rl.tasks.options import PADDING, Option
from tutelage.rl.tasks.scripts import Script, script_of
from tutelage.rl.tasks.seeding import generator
from tutelage.rl.tasks.spaces import is_vector, read_array, space_to_json

EPISODES: Final = 200
SECONDS: Final = 30.0
"""How long random play goes on, whichever is first; the script's play has as many seconds."""

_ENVS: Final = 8
_REPLAYED: Final = 100
"""Steps after which a resume is tried."""
_GONE_ON: Final = 30
"""Steps that are played after it."""
_MANY_SITUATIONS: Final = 1000
_SCRIPTED: Final = 50
"""Episodes that the script plays."""
_LONGEST_PLAN: Final = 20
_CUT_SHORT: Final = 3
"""How often an option must have ended with the episode only: once may be by chance."""
_HELD: Final = 0.5
"""The share of random play in which an option is carried out in place of random actions."""

Verdict = Literal["kept", "doubtful", "broken"]


@dataclass(frozen=True)
class Finding:
    """What was found of one promise. said: one line."""

    promise: str
    verdict: Verdict
    said: str


@dataclass
class _Met:
    """What random play has come through.

    texts: by situation id. options: by situation id. tried, feasible, ended, cut: for each option
    how often it was begun, in how many steps it could be carried out, how often it came to an end
    by itself, and how often the episode ended before that.
    """

    episodes: list[Episode] = field(default_factory=list)
    successes: int = 0
    steps: int = 0
    seconds: float = 0.0
    longest: int = 0
    texts: dict[int, str] = field(default_factory=dict)
    options: dict[int, tuple[Option, ...]] = field(default_factory=dict)
    tried: Counter[Option] = field(default_factory=Counter)
    ended: Counter[Option] = field(default_factory=Counter)
    feasible: Counter[Option] = field(default_factory=Counter)
    cut: Counter[Option] = field(default_factory=Counter)
    states: States | None = None
    broken: dict[str, str] = field(default_factory=dict)

    def breaks(self, promise: str, said: str) -> None:
        """Note the first way in which a promise was broken."""
        self.broken.setdefault(promise, said)


def check_task(
    task: Task, seed: int = 0, episodes: int = EPISODES, seconds: float = SECONDS
) -> Iterator[Finding]:
    """Try every promise of a task, in the order in which they depend on each other.

    Ends early where nothing more can be tried. What the task itself raises is not caught.
    """
    spaces = _check_spaces(task)
    yield spaces
    if spaces.verdict == "broken":
        return
    yield _check_seeds(task, seed)
    yield _check_replay(task, seed)
    met = _play(task, seed, episodes, seconds)
    yield _observed(met)
    yield _rewards(met)
    yield from _situations(met)
    yield from _options(met)
    yield _labels(task, met)
    yield _order(task, met)
    yield _lengths(task, met)
    yield _successes(met)
    script = script_of(task)
    if script is not None:
        yield _script(task, script, seed, seconds)
    yield _speed(met)


def _check_spaces(task: Task) -> Finding:
    try:
        for space in task.observation_space.values():
            space_to_json(space)
        space_to_json(task.action_space)
        action_targets(task.action_space)
    except ValueError as error:
        return Finding("spaces", "broken", str(error))
    if not task.observation_space:
        return Finding("spaces", "broken", "the student observes nothing")
    keys = ", ".join(f"{key} {_shape(space)}" for key, space in task.observation_space.items())
    return Finding("spaces", "kept", f"observes {keys}; acts in {task.action_space}")


def _check_seeds(task: Task, seed: int) -> Finding:
    """The same episodes begin alike in two vectors; others do not all begin so."""
    starts = [_starts(task, seed, "train", [0] * _ENVS) for _ in range(2)]
    if not _equal(starts[0], starts[1]):
        return Finding("seeds", "broken", "the same seed begins an episode in two ways")
    later = _starts(task, seed, "train", list(range(_ENVS)))
    evaluated = _starts(task, seed, "evaluation", [0] * _ENVS)
    if _all_alike(later) and _all_alike(starts[0]) and _all_alike(evaluated):
        return Finding("seeds", "doubtful", "every episode begins alike: is the seed used?")
    return Finding("seeds", "kept", "the same seed begins the same episode")


def _check_replay(task: Task, seed: int) -> Finding:
    """What a resume does: fresh environments are brought to where others are, and go on alike.

    So do some that were used before, as tasks keep them for the next evaluation.
    """
    rng = generator(seed, "actions")
    targets = action_targets(task.action_space)
    replay = EpisodeReplay(_ENVS, task.max_episode_steps, task.action_space)

    def random_step(envs: VectorEnv) -> tuple[ActionArray, StepResult]:
        actions = targets.draw(targets.uniform(envs.action_mask(), _ENVS), rng)
        return actions, envs.step(actions)

    # Both are open at a time, as a task may hand out again what was closed: the second is new. The
    # first, which is used more, is closed first, to be the next that is handed out.
    first, second = (task.make_envs(_ENVS, "train", seed) for _ in range(2))
    with closing(second), closing(first):
        first.reset()
        for step in range(_REPLAYED):
            actions, result = random_step(first)
            # Half way all begin anew, so that long episodes are not their environment's first.
            anew = step == _REPLAYED // 2
            replay.step(actions, result.terminated | result.truncated | anew)
            if anew:
                first.reset(replay.episodes.copy())
        snapshot = replay.snapshot(first)
        here = _seen(task, first)
        onward = [(*random_step(first), _seen(task, first)) for _ in range(_GONE_ON)]
        fresh = _way_off(task, second, snapshot, here, onward)
    if fresh:
        return Finding("replay", "broken", f"{fresh}: a resume cannot bring the environment back")
    with closing(task.make_envs(_ENVS, "train", seed)) as third:
        used = _way_off(task, third, snapshot, here, onward)
    if used:
        said = f"used environments play otherwise than new ones, reset leaves something: {used}"
        return Finding("replay", "broken", said)
    said = f"{_REPLAYED} steps were resumed by their actions, and {_GONE_ON} more went the same way"
    return Finding("replay", "kept", said)


def _seen(task: Task, envs: VectorEnv) -> Observation:
    """What students and teachers see now, by name."""
    mask = envs.action_mask()
    seen = {f"observation {key}": array for key, array in envs.observe().items()}
    masks = {} if mask is None else {"action mask": mask}
    return seen | masks | {"situation": task.situation_ids(envs.states())}


def _way_off(
    task: Task,
    envs: VectorEnv,
    snapshot: Mapping[str, NDArray[Any]],
    here: Observation,
    onward: Sequence[tuple[ActionArray, StepResult, Observation]],
) -> str:
    """How environments that are brought to a snapshot differ from those it is of; empty if not."""
    replay = EpisodeReplay(_ENVS, task.max_episode_steps, task.action_space)
    try:
        replay.restore(snapshot, envs)
    except ReplayError as error:
        return str(error)
    if not _equal(here, _seen(task, envs)):
        return "the same episodes and actions led elsewhere"
    for step, (actions, one, seen) in enumerate(onward):
        other = envs.step(actions)
        same = (
            np.array_equal(one.rewards, other.rewards)
            and np.array_equal(one.terminated, other.terminated)
            and np.array_equal(one.truncated, other.truncated)
            and _equal(seen, _seen(task, envs))
        )
        if not same:
            return f"resumed, step {step + 1} of the same actions went another way"
    return ""


class _RandomPlayer:
    """Acts at random in N environments: carries out an option to its end, or random actions."""

    def __init__(self, task: Task, rng: np.random.Generator, met: _Met) -> None:
        self._task, self._rng, self._met = task, rng, met
        self._targets = action_targets(task.action_space)
        self._held: list[Option | None] = [None] * _ENVS
        self._free: list[int] = [0] * _ENVS
        self._held_for: list[int] = [0] * _ENVS

    def act(self, states: States, situations: IntArray, mask: BoolArray | None) -> ActionArray:
        """Actions [N, ...]."""
        chosen = self._targets.uniform(mask, _ENVS)
        offers = [self._met.options[s] for s in situations.tolist()]
        self._choose(offers)
        codes = np.array([[self._code(option)] for option in self._held], dtype=np.int64)
        done = self._task.act(codes, states)
        for i, option in enumerate(self._held):
            if option is None:
                continue
            finished, feasible = bool(done.finished[i, 0]), bool(done.feasible[i, 0])
            self._met.feasible[option] += feasible
            if feasible and not finished:
                chosen[i] = done.targets[i, 0]
                self._held_for[i] += 1
                continue
            # What could not even be begun has not come to an end.
            self._met.ended[option] += finished or self._held_for[i] > 0
            self._held[i] = None
        return self._targets.draw(chosen, self._rng)

    def over(self, i: int) -> None:
        """Environment i's episode has ended, and with it what was carried out."""
        option = self._held[i]
        if option is not None:
            self._met.cut[option] += 1
        self._held[i], self._free[i] = None, 0

    def _choose(self, offers: Sequence[tuple[Option, ...]]) -> None:
        """Begin something new where nothing is being carried out."""
        for i, offered in enumerate(offers):
            if self._held[i] is not None or self._free[i] > 0:
                self._free[i] -= self._held[i] is None
            elif offered and self._rng.random() < _HELD:
                option = offered[int(self._rng.integers(len(offered)))]
                self._held[i], self._held_for[i] = option, 0
                self._met.tried[option] += 1
            else:
                self._free[i] = int(self._rng.integers(1, 20))

    def _code(self, option: Option | None) -> int:
        return PADDING if option is None else self._task.encode(option)


def _play(task: Task, seed: int, episodes: int, seconds: float) -> _Met:
    """Random play, in which each state, situation, option and label is looked at."""
    met = _Met()
    player = _RandomPlayer(task, generator(seed, "actions", 1), met)
    envs = task.make_envs(_ENVS, "train", seed + 1)
    returns, lengths = np.zeros(_ENVS), np.zeros(_ENVS, dtype=np.int64)
    kept: list[States] = []
    try:
        envs.reset()
        began = monotonic()
        while len(met.episodes) < episodes and monotonic() - began < seconds:
            _look_at(task, envs.observe(), met)
            states = envs.states()
            situations = task.situation_ids(states)
            _note_situations(task, situations, met)
            _look_at_labels(task, states, situations, met)
            if len(kept) < _REPLAYED:
                kept.append(states[:])
            result = envs.step(player.act(states, situations, envs.action_mask()))
            _look_at_result(task, result, met)
            returns += result.rewards
            lengths += 1
            met.steps += _ENVS
            met.longest = max(met.longest, int(lengths.max()))
            for i in np.flatnonzero(result.terminated | result.truncated).tolist():
                player.over(i)
                episode = Episode(
                    float(returns[i]),
                    int(lengths[i]),
                    bool(result.terminated[i]),
                    bool(result.truncated[i]),
                    result.infos.get(i, {}),
                )
                met.episodes.append(episode)
                success = task.success(episode)
                if not isinstance(success, bool | np.bool_):
                    met.breaks("success", f"success gives {success!r}; needed: True or False")
                met.successes += bool(success)
                returns[i], lengths[i] = 0.0, 0
        met.seconds = monotonic() - began
    finally:
        envs.close()
    met.states = kept[0].concat(kept)
    return met


def _look_at(task: Task, observation: Observation, met: _Met) -> None:
    if set(observation) != set(task.observation_space):
        met.breaks("observations", f"keys {sorted(observation)} are not those of the space")
        return
    for key, space in task.observation_space.items():
        batch = observation[key]
        if batch.dtype != space.dtype or batch.shape[1:] != (space.shape or ()):
            found = f"{batch.dtype} {list(batch.shape[1:])}"
            met.breaks("observations", f"{key} is {found}, its space {_shape(space)}")
            continue
        try:
            for row in batch:
                read_array(row, space)
        except ValueError:
            what = "is not finite" if is_vector(space) else "lies outside its space"
            met.breaks("observations", f"{key} {what} after {met.steps} steps")


def _look_at_result(task: Task, result: StepResult, met: _Met) -> None:
    if not np.isfinite(result.rewards).all():
        met.breaks("rewards", f"a reward is not finite after {met.steps} steps")
    if (result.terminated & result.truncated).any():
        met.breaks("rewards", "an episode is both terminated and truncated")
    if result.truncated.any():
        if result.final is None or any(
            len(result.final[key]) != result.truncated.sum() for key in task.observation_space
        ):
            met.breaks("observations", "a truncated episode has no final observation")
        else:
            _look_at(task, result.final, met)


def _note_situations(task: Task, situations: IntArray, met: _Met) -> None:
    for situation in set(situations.tolist()) - set(met.texts):
        text = task.describe(situation)
        met.texts[situation] = text
        if not text.strip():
            met.breaks("situations", "a situation's text is empty")
        elif task.read(text) != situation:
            met.breaks("situations", f"the text reads as another situation: {_line(text)}")
        offered = task.options(situation)
        met.options[situation] = offered
        if not offered:
            met.breaks("options", f"no option is on offer in: {_line(text)}")
        if len(set(offered)) != len(offered):
            met.breaks("options", f"an option is on offer twice in: {_line(text)}")


def _look_at_labels(task: Task, states: States, situations: IntArray, met: _Met) -> None:
    offers = [met.options[s] for s in situations.tolist()]
    codes = _codes(task, offers)
    done = task.act(codes, states)
    kind = action_targets(task.action_space)
    if done.targets.shape != (*codes.shape, kind.size):
        met.breaks("labels", f"targets {done.targets.shape}, needed {(*codes.shape, kind.size)}")
        return
    runnable = done.feasible & ~done.finished & (codes != PADDING)
    for row, place in np.argwhere(runnable).tolist():
        wrong = _what_is_wrong(task, done.targets[row, place])
        if wrong:
            option = offers[row][place]
            met.breaks("labels", f"{option} {wrong} in: {_line(met.texts[int(situations[row])])}")


def _what_is_wrong(task: Task, targets: FloatArray) -> str:
    """What is wrong with one option's targets, empty where nothing is."""
    if not np.isfinite(targets).all():
        return "gives numbers that are not finite"
    kind = action_targets(task.action_space)
    if kind.blends:
        parts = getattr(task.action_space, "nvec", [len(targets)])
        sums = [float(p.sum()) for p in np.split(targets, np.cumsum(parts)[:-1])]
        if (targets < 0).any() or any(abs(total - 1) > 1e-3 for total in sums):
            return "gives probabilities that are negative or do not sum to 1"
        return ""
    mean, variance = np.split(targets, 2)
    low, high = getattr(task.action_space, "low"), getattr(task.action_space, "high")  # noqa: B009
    if (variance <= 0).any():
        return "gives no variance"
    return "" if ((mean >= low) & (mean <= high)).all() else "leads out of the box"


def _observed(met: _Met) -> Finding:
    return _finding(met, "observations", f"{met.steps:,} steps, all inside their spaces, no NaN")


def _rewards(met: _Met) -> Finding:
    returns = [episode.return_ for episode in met.episodes]
    said = f"finite; random play returns {np.mean(returns):.3g} on average" if returns else "finite"
    return _finding(met, "rewards", said)


def _situations(met: _Met) -> Iterator[Finding]:
    alike = Counter(" ".join(text.split()).casefold() for text in met.texts.values())
    doubles = [text for text, count in alike.items() if count > 1]
    if doubles:
        met.breaks("situations", f"two situations differ in blanks or case alone: {doubles[0]}")
    finding = _finding(met, "situations", f"{len(met.texts)} met, each with a text of its own")
    if finding.verdict == "kept" and len(met.texts) > _MANY_SITUATIONS:
        said = f"{len(met.texts):,} met in {met.steps:,} steps: each is a question to the teacher"
        finding = Finding("situations", "doubtful", said)
    yield finding
    if len(met.texts) == 1:
        yield Finding("situations", "doubtful", "there is one only: nothing tells states apart")


def _options(met: _Met) -> Iterator[Finding]:
    offered = dict.fromkeys(itertools.chain.from_iterable(met.options.values()))
    yield _finding(met, "options", f"{len(offered)} on offer in all: {_some(offered)}")
    unhelpful = [option for option in offered if not option.help]
    if unhelpful:
        said = f"the teacher is told nothing of {_some(unhelpful)}: give them a help"
        yield Finding("options' help", "doubtful", said)
    never = [o for o in offered if met.tried[o] and not met.feasible[o]]
    if never:
        said = f"on offer and never possible: {_some(never)}"
        yield Finding("options' start", "doubtful", said)
    endless = [o for o in offered if met.cut[o] >= _CUT_SHORT and not met.ended[o]]
    if endless:
        said = (
            f"ended with the episode only: {_some(endless)}; right for what reaches the aim, else "
            "say when they are finished: no plan gets beyond them"
        )
        yield Finding("options' end", "doubtful", said)
    else:
        yield Finding("options' end", "kept", "each was finished, or could not go on, in some try")


def _labels(task: Task, met: _Met) -> Finding:
    return _finding(met, "labels", f"what options do lies inside {task.action_space}")


def _order(task: Task, met: _Met) -> Finding:
    """Situations and labels are functions of the state: computed later, in another order, alike."""
    assert met.states is not None
    states = met.states
    situations = task.situation_ids(states)
    offers = [met.options.get(s) or task.options(s) for s in situations.tolist()]
    codes = _codes(task, offers)
    done = task.act(codes, states)
    everything = np.arange(len(states))
    for rows in (everything[::-1], everything[1::3]):
        again = task.situation_ids(states[rows])
        if not np.array_equal(situations[rows], again):
            row = rows[np.flatnonzero(situations[rows] != again)[0]]
            text = _line(task.describe(int(situations[row])))
            said = f"computed again, a state has another situation than: {text}"
            return Finding("pure functions", "broken", said)
        later = task.act(codes[rows], states[rows])
        same = (
            np.array_equal(done.targets[rows], later.targets)
            and np.array_equal(done.feasible[rows], later.feasible)
            and np.array_equal(done.finished[rows], later.finished)
        )
        if not same:
            said = "an option does something else when it is asked again about the same state"
            return Finding("pure functions", "broken", said)
    said = "situations and options depend on what was recorded of a state alone"
    return Finding("pure functions", "kept", said)


def _lengths(task: Task, met: _Met) -> Finding:
    if not met.episodes:
        said = (
            f"no episode ended in {met.steps:,} steps; max_episode_steps {task.max_episode_steps}"
        )
        verdict: Verdict = "broken" if met.longest > task.max_episode_steps else "doubtful"
        return Finding("episodes", verdict, said)
    if met.longest > task.max_episode_steps:
        said = f"one has {met.longest} steps, max_episode_steps says {task.max_episode_steps}"
        return Finding("episodes", "broken", said)
    lengths = np.mean([episode.length for episode in met.episodes])
    said = f"{len(met.episodes)} ended, after {lengths:.0f} steps on average"
    return Finding("episodes", "kept", said)


def _successes(met: _Met) -> Finding:
    count = len(met.episodes)
    finding = _finding(met, "success", f"random play succeeds in {met.successes} of {count}")
    if finding.verdict == "kept" and count and met.successes == count:
        said = f"all {count} episodes of random play succeed: there is nothing to learn from it"
        return Finding("success", "doubtful", said)
    return finding


class _TimeOverError(Exception):
    """So many seconds are over."""


def _script(task: Task, script: Script, seed: int, seconds: float) -> Finding:
    """The script's plans name options on offer; and what they come to, carried out."""
    wrong: list[str] = []
    answered: dict[int, bool] = {}
    until = monotonic() + seconds

    def on_step() -> None:
        if wrong or monotonic() > until:
            raise _TimeOverError

    def advise(situations: Sequence[int]) -> dict[int, Advice]:
        plans = {}
        for situation in situations:
            text, offered = task.describe(situation), task.options(situation)
            found = script.candidates(text, offered, _LONGEST_PLAN)
            missing = [o for o in found[0].plan if o not in offered] if found else []
            answered[situation] = bool(found)
            if missing:
                wrong.append(f"{_some(missing)} is not on offer in: {_line(text)}")
            elif found:
                plans[situation] = Advice((found[0].plan,), (1.0,))
        return plans

    played = TeacherEpisodes(task, _SCRIPTED, seed)
    try:
        played.begin_round(_SCRIPTED * task.max_episode_steps)
        with suppress(_TimeOverError):
            played.play(advise, on_step)
    except UserError as error:  # its own code, or a plan that cannot be
        return Finding("script", "broken", str(error))
    finally:
        played.close()
    if wrong:
        return Finding("script", "broken", f"a plan's {wrong[0]}")
    result = played.outcome()
    if result is None:
        said = f"carried out, none of its episodes ended in {seconds:.0f} s: what it does is open"
        return Finding("script", "doubtful", said)
    count = "" if played.over else f" that ended in {seconds:.0f} s"
    said = (
        f"carried out, it succeeds in {result.success_rate:.0%} of {result.episodes} episodes"
        f"{count}, mean return {result.mean_return:.3g}"
    )
    silent = list(answered.values()).count(False)
    if silent:
        said += f"; in {silent} of {len(answered)} situations it says nothing"
    good = result.successes and not silent
    return Finding("script", "kept" if good else "doubtful", said)


def _speed(met: _Met) -> Finding:
    speed = met.steps / max(met.seconds, 1e-9)
    return Finding("speed", "kept", f"{speed:,.0f} steps/s with all options looked at each step")


def _finding(met: _Met, promise: str, kept: str) -> Finding:
    if promise in met.broken:
        return Finding(promise, "broken", met.broken[promise])
    return Finding(promise, "kept", kept)


def _codes(task: Task, offers: Sequence[Sequence[Option]]) -> IntArray:
    """The options' codes, padded, int64 [B, K]."""
    widest = max(map(len, offers), default=0)
    codes = np.full((len(offers), max(widest, 1)), PADDING, dtype=np.int64)
    for row, offered in enumerate(offers):
        codes[row, : len(offered)] = [task.encode(option) for option in offered]
    return codes


def _starts(task: Task, seed: int, split: Split, episodes: Sequence[int]) -> Mapping[str, Any]:
    """The first observations of some episodes."""
    envs = task.make_envs(len(episodes), split, seed)
    try:
        envs.reset(np.array(episodes, dtype=np.int64))
        return envs.observe()
    finally:
        envs.close()


def _equal(one: Observation, other: Observation) -> bool:
    return all(np.array_equal(one[key], other[key], equal_nan=_is_float(one[key])) for key in one)


def _all_alike(observation: Observation) -> bool:
    return all((array == array[:1]).all() for array in observation.values())


def _is_float(array: NDArray[Any]) -> bool:
    return bool(np.issubdtype(array.dtype, np.floating))


def _shape(space: Any) -> str:
    return f"{space.dtype} {list(space.shape or ())}"


def _line(text: str) -> str:
    return "; ".join(text.splitlines())


def _some(options: Any) -> str:
    names = [str(option) for option in options]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
