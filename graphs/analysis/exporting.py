"""A run's student for other programs: its files, and a model card that says what they are."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path, PurePosixPath, PureWindowsPath
from statistics import median
from time import perf_counter_ns
from typing import Any, Final

import torch
from gymnasium import spaces

from tutelage.agents.common.files import explained, replace_file
from tutelage.agents.common.redact import redact
from tutelage.graphs.analysis.evaluation import policy_of
from tutelage.graphs.config.config import ConfigError, RunConfig
from tutelage.graphs.records.outputs import check_output
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.shapes import NO_TEACHER, Summary
from tutelage.graphs.registry import find_graph
from tutelage.graphs.runtime.run import stored_config
from tutelage.rl.errors import one_of
from tutelage.rl.policy.policy import Policy
from tutelage.rl.policy.portable import example_inputs, input_names, to_onnx, to_pt2
from tutelage.rl.rollouts.results import StudentResult
from tutelage.rl.tasks.base import Observation
from tutelage.rl.tasks.spaces import CategoryGrid, Tokens, is_picture, is_vector

FORMATS: Final = ("onnx", "torch", "safetensors")
_FILES: Final = {
    "onnx": "student.onnx",
    "torch": "student.pt2",
    "safetensors": "student.safetensors",
}
_CARD: Final = "README.md"
_ONNX_PACKAGES: Final = ("onnx", "onnxscript", "onnxruntime")
_TIMED_STEPS: Final = 10_000
_WARM_UP: Final = 100


@dataclass(frozen=True)
class Export:
    """What was written. sizes: bytes, by file; latencies: median µs of a step, by what acted."""

    folder: Path
    sizes: Mapping[str, int]
    latencies: Mapping[str, float]


def export_run(
    path: Path,
    formats: Sequence[str],
    output: Path | None = None,
    force: bool = False,
    on_work: Callable[[str], None] = lambda _: None,
) -> Export:
    """Write a run's student in some of `FORMATS`, and its card, into a folder.

    output: the folder; None for `export` in the run's own. force: overwrite such files there.
    on_work: is told what is being done. Raises UserError: ConfigError for an unknown format, a
    missing package and a run without a student, OutputError for files that must not be written.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise ConfigError(f"--format {unknown[0]!r} is none{one_of(unknown[0], FORMATS)}")
    missing = [name for name in _ONNX_PACKAGES if find_spec(name) is None]
    if "onnx" in formats and missing:
        raise ConfigError(
            f'--format onnx needs {", ".join(missing)}: pip install "tutelage[export]"'
        )
    run = RunFolder.open(path)
    config = stored_config(run)
    policy = policy_of(path, config)
    folder = path / "export" if output is None else output
    files = [_FILES[name] for name in FORMATS if name in formats]
    for name in (*files, _CARD):
        check_output(folder / name, force)
    with explained("write", folder):
        folder.mkdir(parents=True, exist_ok=True)
    contents: dict[str, Callable[[], bytes]] = {
        "onnx": partial(to_onnx, policy),
        "torch": partial(to_pt2, policy),
        "safetensors": run.student.read_bytes,
    }
    for name in formats:
        on_work(f"writing {_FILES[name]}")
        _write(folder / _FILES[name], contents[name])
    on_work(f"timing {_TIMED_STEPS:,} steps")
    latencies = _latencies(policy, formats, folder)
    sizes = {name: (folder / name).stat().st_size for name in files}
    export = Export(folder, sizes, latencies)
    card = redact(_card(run, config, policy, export)).encode()
    _write(folder / _CARD, lambda: card)
    return export


def _write(target: Path, content: Callable[[], bytes]) -> None:
    """Replace a file as a whole. Raises RunFolderError."""

    def write(file: Path) -> None:
        file.write_bytes(content())

    with explained("write", target):
        replace_file(target, write)


def _latencies(policy: Policy, formats: Sequence[str], folder: Path) -> dict[str, float]:
    """Median µs of a step of one episode, on one core, by what acts."""
    with _one_thread():
        found = {"PyTorch, `load_student`": _time(_actor_step(policy))}
        if "torch" in formats:
            module = torch.export.load(folder / _FILES["torch"]).module()
            inputs = example_inputs(policy, 1)
            with torch.inference_mode():
                found["PyTorch, `student.pt2`"] = _time(lambda: module(inputs))
        if "onnx" in formats:
            found["onnxruntime, `student.onnx`"] = _time(_onnx_step(policy, folder))
    return found


def _actor_step(policy: Policy) -> Callable[[], object]:
    names, inputs = input_names(policy), example_inputs(policy, 1)
    seen: Observation = {key: inputs[name].numpy() for key, name in names.items()}
    state = policy.initial_state(1)
    return lambda: policy.act(seen, None, state)


def _onnx_step(policy: Policy, folder: Path) -> Callable[[], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / _FILES["onnx"], options)
    inputs = {name: tensor.numpy() for name, tensor in example_inputs(policy, 1).items()}
    return lambda: session.run(None, inputs)


def _time(step: Callable[[], object]) -> float:
    spent = []
    for number in range(_WARM_UP + _TIMED_STEPS):
        began = perf_counter_ns()
        step()
        if number >= _WARM_UP:
            spent.append(perf_counter_ns() - began)
    return median(spent) / 1000


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _card(run: RunFolder, config: RunConfig, policy: Policy, export: Export) -> str:
    """The model card, in Markdown. It names no place on this machine."""
    summary = run.read_summary()
    parts = [
        f"# A policy for {_code(policy.spec.task)}",
        "A small policy, trained by reinforcement learning with Tutelage"
        + (" beside a teacher, which it no longer needs." if _taught(summary) else "."),
        "## What it sees and does",
        _table(("input", "what it is"), _inputs(policy)),
        _actions(policy, config),
        "## How good it is",
        _results(summary),
        "## How it was trained",
        _table(("", ""), _training(run, config, summary)),
        "## Files and speed",
        _table(
            ("file", "bytes"), [(_code(name), f"{size:,}") for name, size in export.sizes.items()]
        ),
        _table(
            ("what acts", "median step"),
            [(name, f"{latency:,.1f} µs") for name, latency in export.latencies.items()],
        ),
        f"Medians of {_TIMED_STEPS:,} steps, one observation each, on one core "
        f"({platform.machine()}).",
        "## How to load it",
        *(_LOADING[name] for name in FORMATS if _FILES[name] in export.sizes),
        "Inputs are arrays with a row for each of any number of episodes. Shapes, names and the "
        "spaces are in each file, as JSON, under `policy`.",
    ]
    return "\n\n".join(parts) + "\n"


_LOADING: Final = {
    "onnx": """\
ONNX, without PyTorch and without Tutelage:

```python
import onnxruntime

session = onnxruntime.InferenceSession("student.onnx")
(action,) = session.run(["action"], inputs)
```""",
    "torch": """\
PyTorch, without Tutelage; inputs and outputs are dictionaries of tensors:

```python
import torch

student = torch.export.load("student.pt2").module()
action = student(inputs)["action"]
```""",
    "safetensors": """\
Tutelage, in a plain Gymnasium loop:

```python
from tutelage import load_student

student = load_student("student.safetensors").policy()
action = student(observation)
```""",
}


def _inputs(policy: Policy) -> list[tuple[str, str]]:
    spec = policy.spec
    rows = [
        (_code(name), _in_words(spec.observation_space[key], spec.normalise))
        for key, name in input_names(policy).items()
    ]
    if spec.masks_actions:
        rows.append(("`action_mask`", f"bool, {policy.head.num_params}: the actions allowed"))
    if policy.network.memory_size:
        rows += [
            ("`hidden`", f"float32, {policy.network.memory_size}: zeros, then `hidden_out`"),
            (
                "`previous_action`",
                f"float32, {policy.head.action_size}: zeros, then the action that was done, "
                "encoded as in `previous_action_out`",
            ),
        ]
    return rows


def _in_words(space: spaces.Space[Any], normalise: bool) -> str:
    """What an input is, without the batch's dimension."""
    if isinstance(space, CategoryGrid):
        return f"uint8, {space.height} x {space.width} cells, each one of {space.num_codes} codes"
    if isinstance(space, Tokens):
        return f"int32, the tokens of {space.length} words, 0 after the last"
    if is_vector(space):
        within = "; it is normalised inside" if normalise else ""
        return f"float32, a vector of {(space.shape or (0,))[0]}{within}"
    if is_picture(space):
        return f"uint8, a picture of {' x '.join(map(str, space.shape or ()))} (channels last)"
    if isinstance(space, spaces.Discrete):
        return f"int64, a category: 0 to {int(space.n) - 1}{_from(int(space.start))}"
    assert isinstance(space, spaces.MultiDiscrete)
    sizes = ", ".join(str(int(n)) for n in space.nvec)
    starts = ", ".join(str(int(n)) for n in space.start) if space.start.any() else 0
    return f"int64, categories from 0, of {sizes} each{_from(starts)}"


def _from(start: object) -> str:
    return f" (the environment's, less {start})" if start else ""


def _actions(policy: Policy, config: RunConfig) -> str:
    spec, space = policy.spec, policy.spec.action_space
    names = ", ".join(_code(name) for name in spec.action_names)
    if isinstance(space, spaces.Discrete):
        says = f"It does one of {int(space.n)} actions: {names}. `logits` has one number for each."
    elif isinstance(space, spaces.MultiDiscrete):
        sizes = ", ".join(str(int(n)) for n in space.nvec)
        says = f"It does {len(space.nvec)} actions at once, of {sizes} each: {names}; `logits` has "
        says += "theirs side by side."
    else:
        low, high = space.low.tolist(), space.high.tolist()
        says = f"Its action is a vector of {len(low)}: {names}; from {low} to {high}. `mean` "
        says += "and `log_std` are of a Gaussian, before it is clipped."
    says += " `action` is the likeliest, `value` what it expects of the rest of the episode, in "
    says += "rewards as training scaled them."
    if find_graph(config.graph).by_options:
        says += " Its actions are options, which the task's own code carries out."
    if spec.view:
        view = ", ".join(f"{_code(name)} = {number}" for name, number in spec.view.items())
        says += f" How its view of the environment is made: {view}."
    return says


def _results(summary: Summary | None) -> str:
    student = None if summary is None else summary.student
    if student is None:
        return "Not known: the run has not ended."
    return _table(("alone, on episodes that training never saw", ""), _result_rows(student))


def _result_rows(student: StudentResult) -> list[tuple[str, str]]:
    low, high = student.ci95
    rows = [
        (
            "success, actions drawn from the policy",
            f"{100 * student.success_rate:.1f} % of {student.episodes:,} episodes (95 % interval "
            f"{100 * low:.1f} to {100 * high:.1f})",
        ),
        ("mean return", f"{student.mean_return:.3f}"),
        ("mean length", f"{student.mean_length:.1f} steps"),
    ]
    if student.argmax_success_rate is not None:
        argmax = ("success, likeliest actions", f"{100 * student.argmax_success_rate:.1f} %")
        rows.insert(1, argmax)
    return rows


def _training(run: RunFolder, config: RunConfig, summary: Summary | None) -> list[tuple[str, str]]:
    versions = run.read_config().get("versions")
    known = versions.items() if isinstance(versions, Mapping) else ()
    rows = [
        ("task", _code(_without_places(config.env))),
        ("graph", _code(config.graph)),
        ("seed", str(config.seed)),
    ]
    if summary is not None:
        rows.append(("environment steps", f"{summary.env_steps:,}"))
        if summary.trial_steps:
            rows.append(("with those of the teacher check", f"{summary.total_steps:,}"))
        rows.append(("teacher", _code(_without_places(summary.provider))))
        if _taught(summary):
            left = summary.teacher_removed_at_step
            rows.append(("teacher left", "never" if left is None else f"at step {left:,}"))
    said = ", ".join(f"{name} {number}" for name, number in known if number is not None)
    return [*rows, ("versions", _plain(said))]


def _taught(summary: Summary | None) -> bool:
    return summary is not None and summary.provider != NO_TEACHER


def _table(heading: tuple[str, str], rows: Sequence[tuple[str, str]]) -> str:
    lines = [heading, ("---", "---"), *rows]
    return "\n".join(f"| {left} | {right} |" for left, right in lines)


def _code(text: str) -> str:
    """A name that anybody may have chosen, as code: it stays in its cell and its line."""
    return f"`{_plain(text).replace('`', chr(39))}`"


def _plain(text: str) -> str:
    """In one line that has no columns."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(shown.split()).replace("|", "/")


def _without_places(text: str) -> str:
    """A name without the folders that lead to it, as in `replay:/home/me/answers.jsonl`."""
    kind, colon, place = text.partition(":")
    for path in (PurePosixPath(place), PureWindowsPath(place)):
        if path.is_absolute() or place.startswith("~"):
            return f"{kind}{colon}{path.name}"
    return text
