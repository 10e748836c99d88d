"""Code of one's own that makes a task: loaded and called, each mistake in it in one line."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import sysconfig
import textwrap
import traceback
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from operator import index
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Final, SupportsIndex

from tutelage.rl.errors import UserError, did_you_mean, text_of
from tutelage.rl.tasks.base import MakesTask, Task, UnknownTaskError
from tutelage.rl.tasks.dotted_path import modules_here, run_folder_on_the_way, searched
from tutelage.rl.tasks.wrappers import members_of, missing_from

_LONGEST: Final = 400
"""Characters of somebody else's error that are shown."""

_MOST_STEPS: Final = 2**31 - 1

_OURS: Final = f"{Path(__file__).parents[2]}{os.sep}"
_INSTALLED: Final = tuple(
    f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


def load_attribute(label: str, path: str, here: bool) -> Any:
    """What a path `module:attribute` names, the attribute dotted for one within a class.

    label: how a message begins. here: whether the module may lie in the working directory, which
    must be on Python's path then. Raises UnknownTaskError where there is no such module or
    attribute, or where importing it fails.
    """
    module_name, _, attribute = path.partition(":")
    if not attribute or not all(module_name.split(".")):
        raise UnknownTaskError(f"{label} is not of the form module:attribute")
    run = run_folder_on_the_way(module_name)
    if run is not None:
        raise UnknownTaskError(
            f"{label} leads into {run}, and files in a run folder may be anybody's; "
            "move your code to a folder of its own"
        )
    near = modules_here() if here else []
    if _is_pythons_own(module_name):
        mine = f", which it finds before {module_name}.py here" if module_name in near else ""
        raise UnknownTaskError(
            f"{label}: {module_name!r} is a module of Python's own{mine}; one of yours needs "
            "another name"
        )
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise UnknownTaskError(f"{label}: {explained(error)}") from error
        hint = did_you_mean(module_name, near, cutoff=0.5)
        raise UnknownTaskError(
            f"{label}: there is no module {error.name!r}{hint}; looked for {searched(here)}"
        ) from error
    except (Exception, SystemExit) as error:  # whatever the module does
        raise UnknownTaskError(f"{label}: importing it fails: {explained(error)}") from error
    place = f"module {module_name!r}{_instead(found, near)}"
    for name in attribute.split("."):
        with in_one_line(label):  # a module may have a `__getattr__` of its own
            there = hasattr(found, name)
        if not there:
            hint = did_you_mean(name, (n for n in dir(found) if not n.startswith("_")))
            raise UnknownTaskError(f"{label}: {place} has no attribute {name!r}{hint}")
        found, place = getattr(found, name), repr(name)
    made_in = getattr(found, "__module__", None)
    if isinstance(found, type | FunctionType | BuiltinFunctionType) and _is_pythons_own(made_in):
        raise UnknownTaskError(f"{label}: {place} is a part of Python's own module {made_in!r}")
    return found


def call(label: str, maker: Any, arguments: Mapping[str, Any]) -> Any:
    """What a class or function makes of its arguments. Raises UnknownTaskError, in one line."""
    check_arguments(label, maker, arguments)
    with in_one_line(label):
        return maker(**arguments)


def check_arguments(label: str, maker: Any, arguments: Mapping[str, Any]) -> None:
    """See that a class or function takes these arguments, and needs no others.

    arguments: by name. Raises UnknownTaskError, also for what cannot be called.
    """
    if not callable(maker):
        raise UnknownTaskError(
            f"{label} is {_kind(maker)}, which cannot be called; needed: a class or function that "
            "makes a Task"
        )
    try:
        signature = inspect.signature(maker)
    except (TypeError, ValueError):  # compiled code says nothing of its parameters
        return
    kinds = {name: parameter.kind for name, parameter in signature.parameters.items()}
    named = [
        name
        for name, kind in kinds.items()
        if kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    ]
    takes = f"it takes {', '.join(named)}" if named else "it takes none"
    if inspect.Parameter.VAR_KEYWORD not in kinds.values():
        for name in arguments:
            if name not in named:
                hint = did_you_mean(name, named)
                raise UnknownTaskError(f"{label} has no argument {name!r}{hint}; {takes}")
    try:
        signature.bind(**arguments)
    except TypeError as error:
        text = f"{label}: {error}; {takes}, given as --set env.NAME=VALUE"
        raise UnknownTaskError(text) from error


def lacks_methods(made_by: type) -> bool:
    """Whether what a class makes is no task: the methods of `Task` or `MakesTask` are not there."""
    if hasattr(made_by, "as_task"):
        return False
    methods = {name for name in members_of(Task) if callable(getattr(Task, name, None))}
    return any(getattr(made_by, name, None) is None for name in methods)


def check_task(label: str, made: Any) -> Task:
    """What somebody's code has made, as a task.

    Raises UnknownTaskError where it is none, or says of itself what cannot be.
    """
    if is_environment(type(made)):
        raise UnknownTaskError(foreign(f"{label} makes"))
    if made is None:
        raise UnknownTaskError(f"{label} makes nothing: a function must `return` its task")
    if not missing_from(made, MakesTask):
        with in_one_line(label):
            made = made.as_task()
    missing = missing_from(made, Task)
    if missing:
        raise UnknownTaskError(
            f"{label} makes {_kind(made)}, which is no GymTask and no Task, it lacks "
            f"{', '.join(missing)}: see rl/tasks/base.py for the protocol"
        )
    task: Task = made
    for name in ("max_episode_steps", "default_steps"):
        with in_one_line(label):
            count = getattr(task, name)
        if not isinstance(count, SupportsIndex) or not 0 < index(count) <= _MOST_STEPS:
            raise UnknownTaskError(
                f"{label}: its {name} must be an integer between 1 and {_MOST_STEPS:,}"
            )
    return task


def is_environment(made_by: type) -> bool:
    """Whether a class is a Gymnasium environment's. Gymnasium is not imported for it."""
    environment = getattr(sys.modules.get("gymnasium"), "Env", None)
    return environment is not None and issubclass(made_by, environment)


def foreign(label: str) -> str:
    """The line for an environment of no family that is named in place of a task."""
    return (
        f"{label} a Gymnasium environment, which has no situations and options to teach with; "
        "write a GymTask around it: `envs new --help`"
    )


@contextmanager
def in_one_line(label: str) -> Iterator[None]:
    """Whatever somebody's code raises becomes an UnknownTaskError that says where it did."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UnknownTaskError(f"{label}: {explained(error)}") from error


def explained(error: BaseException) -> str:
    """An error of somebody's code in one line: the place there, and what to do where we know."""
    place = place_of(error)
    at = "" if place is None else f"{place}: "
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        package = error.name.partition(".")[0]
        if _is_there(package):
            return f"{at}there is no module {error.name!r}"
        return f"{at}the package {package!r} is not installed: pip install {package}"
    text = error.msg if isinstance(error, SyntaxError) else text_of(error)
    line = textwrap.shorten(text, _LONGEST, placeholder=" …")
    kind = type(error).__name__
    if kind == "DependencyNotInstalled":  # Gymnasium's: it says what to type
        return line
    return f"{at}{kind}: {line}" if line else f"{at}{kind}"


def place_of(error: BaseException) -> str | None:
    """`FILE, line N` of `own_line`, None where there is none."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{shown_path(error.filename)}, line {error.lineno}"
    line = own_line(error)
    return None if line is None else f"{shown_path(line[0])}, line {line[1]}"


def own_line(error: BaseException, files: Collection[str] = ()) -> tuple[str, int] | None:
    """The innermost line of somebody's own code that an error went through: its file and number.

    files: where it is looked for first. Of an installed package's where there is no such line; None
    where there is neither.
    """
    steps = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith((_OURS, "<"))
    ]
    own = [(file, line) for file, line in steps if not file.startswith(_INSTALLED)]
    named = [(file, line) for file, line in steps if file in files]
    return (named or own or steps)[-1] if steps else None


def shown_path(file: str) -> Path:
    """A file as seen from the working directory where it lies in there."""
    path = Path(file)
    with suppress(FileNotFoundError, ValueError):  # a deleted working directory; a file elsewhere
        path = path.relative_to(Path.cwd())
    return path


def _instead(module: ModuleType, near: Collection[str]) -> str:
    """What to say of a module that Python takes in place of one in the working directory."""
    name, file = module.__name__, getattr(module, "__file__", None)
    if name not in near or file is None or Path(file).parent == Path.cwd():
        return ""
    return f" ({file}, which Python finds before {name}.py here)"


def _is_pythons_own(module: object) -> bool:
    """Whether a module is one of the standard library: calling into it may do anything at all."""
    return isinstance(module, str) and module.partition(".")[0] in sys.stdlib_module_names


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def _kind(value: Any) -> str:
    return f"something of type {type(value).__name__}"
