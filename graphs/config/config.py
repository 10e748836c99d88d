"""The configuration of a run: every field declared once, checked at the start."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Final, Literal, Self, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from tutelage.agents.common.redact import REDACTED, redact
from tutelage.agents.common.settings import SECRET, TeacherSettings
from tutelage.graphs.config.compatibility import unused_settings
from tutelage.graphs.records import versions
from tutelage.graphs.registry import find_graph
from tutelage.rl.errors import UserError, did_you_mean, is_writable, meant, nearest
from tutelage.rl.policy.settings import StudentSettings
from tutelage.rl.ppo.settings import PPOSettings
from tutelage.rl.rollouts.settings import EvaluationSettings
from tutelage.rl.tasks.settings import HierarchicalSettings, TaskSettings
from tutelage.rl.teaching.settings import ShapingSettings
from tutelage.rl.teaching.weight_schedule import WeaningSettings
from tutelage.rl.user_files import NotUtf8Error, decoded, read_plain

_ARGUMENT: Final = "env."
ENV_ARGUMENT: Final = f"{_ARGUMENT}NAME"
"""How people type an argument of a task; the field is `env_args`."""

SETTLED: Final = "settled"
"""What config.json calls the list of its fields that were left open and settled by the run."""


class ConfigError(UserError):
    """A configuration that cannot be used; the message is one line."""


class RunConfig(BaseModel):
    """All that decides what a run does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    graph: str = Field("teacher_student", description="The graph to run; see `graphs list`.")
    env: str = Field(
        "SimpleDoorKey",
        description="The task: a name from `envs list`, a MiniGrid or BabyAI id, or "
        "module:attribute for your own.",
    )
    env_args: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="Arguments of a task of your own, by name: env.size=5; in a file, the table "
        "env_args.",
    )
    provider: str = Field(
        "offline",
        description="The teacher: offline, provider:model as LangChain names them, an entry "
        "point, module:callable, replay:FILE for recorded answers, or a script with a fault: "
        "faulty:RATE, forgetful:RATE, adversarial or weak.",
    )
    base_url: str | None = Field(
        None, description="Address of an OpenAI-compatible server; no key is needed with it."
    )
    prompts: Path | None = Field(
        None,
        description="Folder of your own prompt templates, layered over the shipped ones; none "
        "takes the one that `prompts edit` writes to, `shipped` takes none.",
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of everything random in the run.")
    steps: int | None = Field(
        None,
        ge=1,
        le=2**53,
        description="Environment steps of the run; none takes the task's default.",
    )
    num_envs: int = Field(64, ge=1, le=4096, description="Environments that are stepped together.")
    device: Literal["cpu", "cuda"] = Field("cpu", description="Where the student's network lives.")
    threads: int = Field(1, ge=1, le=256, description="Torch threads; more changes last digits.")
    wait: bool = Field(
        False,
        description="Wait for every answer of the teacher, which makes a run reproducible; "
        "always on for the offline teacher and the other scripts.",
    )
    checkpoint_every: int = Field(
        100, ge=1, le=10_000, description="Iterations between two checkpoints to resume from."
    )
    run_dir: Path | None = Field(
        None, description="The run's own folder; none makes runs/<time>-<graph>-<env>-<seed>."
    )
    cache: Path | None = Field(
        None, description="File of the plan cache; none takes the one in your cache folder."
    )
    loggers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = Field(
        (), description="Where the figures go besides the run folder; several with commas between."
    )
    task: TaskSettings = Field(
        default_factory=TaskSettings,
        description="The task's engine, and what the teacher knows of the task.",
    )
    student: StudentSettings = Field(
        default_factory=StudentSettings, description="The student's eyes and network."
    )
    ppo: PPOSettings = Field(default_factory=PPOSettings, description="How the student learns.")
    teacher: TeacherSettings = Field(
        default_factory=TeacherSettings, description="How the teacher is asked."
    )
    weaning: WeaningSettings = Field(
        default_factory=WeaningSettings, description="How the teacher is withdrawn."
    )
    hierarchical: HierarchicalSettings = Field(
        default_factory=HierarchicalSettings,
        description="How a student acts that picks options; for the graph of that name.",
    )
    shaping: ShapingSettings = Field(
        default_factory=ShapingSettings,
        description="How much the teacher's advice is worth as reward; for the graph `shaped`.",
    )
    evaluation: EvaluationSettings = Field(
        default_factory=EvaluationSettings, description="When and how long the student is tested."
    )

    @field_validator("base_url")
    @classmethod
    def _without_secrets(cls, url: str | None) -> str | None:
        """The configuration is written down, so no secret may be in it."""
        if re.search(r"[@?]", url or ""):
            raise PydanticCustomError(
                SECRET, "must hold no user name, password or query; set OPENAI_BASE_URL instead"
            )
        return url

    @model_validator(mode="before")
    @classmethod
    def _keyless(cls, values: Any) -> Any:
        """A key that was typed into a field is in the environment's place, and would be kept.

        One that a run's stored configuration held was redacted when that was read.
        """
        for place, text in _texts(values, ""):
            if REDACTED in text or redact(text) != text:
                raise PydanticCustomError(
                    SECRET,
                    "{place} must hold no key; keys belong in the environment or the key file",
                    {"place": re.sub(r"^env_args\.", _ARGUMENT, place)},
                )
        return values

    @model_validator(mode="before")
    @classmethod
    def _in_unicode(cls, values: Any) -> Any:
        """What UTF-8 cannot hold could not be written down: a file's name in another encoding."""
        for place, text in _texts(values, ""):
            if not is_writable(f"{place}{text}"):
                raise PydanticCustomError(
                    SECRET,
                    "{place} holds what is no Unicode (half a surrogate pair, or a name in another "
                    "encoding than UTF-8)",
                    {"place": ascii(re.sub(r"^env_args\.", _ARGUMENT, place))[1:-1]},
                )
        return values

    @field_validator("loggers", mode="before")
    @classmethod
    def _listed(cls, given: object) -> object:
        """As typed; one that is named twice is meant once."""
        if not isinstance(given, str):
            return given
        return list(dict.fromkeys(name.strip() for name in given.split(",") if name.strip()))

    @field_validator("env_args")
    @classmethod
    def _can_be_written(cls, arguments: dict[str, JsonValue]) -> dict[str, JsonValue]:
        try:
            json.dumps(arguments, allow_nan=False)
        except ValueError:
            raise ValueError("must hold no infinite number and no NaN") from None
        return arguments

    @field_validator("cache")
    @classmethod
    def _a_file(cls, path: Path | None) -> Path | None:
        if path is not None and path.exists() and not path.is_file():
            what = "a folder" if path.is_dir() else "no plain file"
            raise ValueError(f"is {what}; needed: a file")
        return path

    @model_validator(mode="after")
    def _fits_its_graph(self) -> Self:
        """Raises UnknownGraphError, a ValueError, as well."""
        problems = list(unused_settings(self, find_graph(self.graph)))
        if problems:
            raise ValueError("; ".join(problems))
        return self


def make_config(
    file: Path | None, assignments: Sequence[str], options: Mapping[str, Any]
) -> RunConfig:
    """The configuration of a run: file first, then `key=value` pairs, then options that are given.

    file: TOML or JSON. assignments: as in `ppo.gamma=0.98`, and `env.size=5` for an argument of the
    task; values are read as JSON where they can be, else as text. options: by dotted key; None
    means not given. Raises ConfigError.
    """
    values = _read(file) if file is not None else {}
    for key in [key for key in values if key.startswith(_ARGUMENT)]:
        _put(values, key, values.pop(key))
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not (equals and is_writable(key)):
            raise ConfigError(f"--set {assignment!r} is not of the form key=value")
        _put(values, key.strip(), parsed(value.strip()))
    for key, given in options.items():
        if given is not None:
            _put(values, key, given)
    return validated(values)


def validated(values: Mapping[str, Any]) -> RunConfig:
    """Check a whole configuration. Raises ConfigError naming field, value and what is allowed."""
    try:
        return RunConfig.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError("; ".join(_problem(problem) for problem in error.errors())) from None


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A configuration by dotted key, as people type it."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if not isinstance(value, Mapping):
            found[f"{prefix}{key}"] = value
        elif (prefix, key) == ("", "env_args"):
            found |= {f"{_ARGUMENT}{name}": argument for name, argument in value.items()}
        else:
            found |= flat(value, f"{prefix}{key}.")
    return found


def with_fields(config: RunConfig, fields: Mapping[str, Any]) -> RunConfig:
    """The same configuration but for some fields, by dotted key. Raises ConfigError."""
    values = config.model_dump(mode="json", exclude_unset=True)
    for key, value in fields.items():
        _put(values, key, value)
    return validated(values)


def settled_fields(stored: Mapping[str, Any]) -> list[str]:
    """The fields of a config.json that were left open and settled by its run.

    Older runs do not say; they settled what could be left open then.
    """
    said = stored.get(SETTLED)
    return [str(key) for key in said] if isinstance(said, list) else ["steps", "task.engine"]


def without_own_fields(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A run folder's config.json without what only says how it was written."""
    return {k: v for k, v in stored.items() if k not in ("schema_version", "versions", SETTLED)}


def describe_fields() -> Iterator[tuple[str, str, Any, str]]:
    """(dotted key, allowed, default, sentence) for every field of the configuration.

    All arguments of a task are one field, ENV_ARGUMENT.
    """
    yield from _fields_of(RunConfig, "")


def _fields_of(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, Any, str]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if name == "env_args":
            yield ENV_ARGUMENT, "any JSON value", None, field.description or ""
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _fields_of(kind, f"{prefix}{name}.")
        else:
            bounds = " ".join(_bound(m) for m in field.metadata)
            allowed = f"{_kind_name(kind)} {bounds}".strip()
            yield f"{prefix}{name}", allowed, field.default, field.description or ""


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """(dotted key, text) of every text in a tree of values."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner, place)
    elif isinstance(value, str | Path):
        yield place, str(value)


def _bound(metadata: object) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    return " ".join(
        f"{sign} {getattr(metadata, name)}"
        for name, sign in signs.items()
        if getattr(metadata, name, None) is not None
    )


def _kind_name(kind: Any) -> str:
    if get_origin(kind) is tuple:
        return f"any of {_kind_name(get_args(kind)[0])}"
    if get_origin(kind) is Literal:
        return " | ".join(str(choice) for choice in get_args(kind))
    if get_origin(kind) in (Union, UnionType):
        return " | ".join(_kind_name(part) for part in get_args(kind))
    return "none" if kind is type(None) else str(getattr(kind, "__name__", kind))


def _read(file: Path) -> dict[str, Any]:
    try:
        text = decoded(read_plain(file))
        values = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"cannot read --config {file}: {error.strerror}") from error
    except NotUtf8Error as error:
        raise ConfigError(f"--config {file}, line {error.line}: {error}") from error
    except RecursionError:
        raise ConfigError(f"--config {file} is nested too deeply") from None
    except ValueError as error:
        raise ConfigError(f"--config {file} is not valid TOML or JSON: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"--config {file} must hold a table of fields")
    if "schema_version" not in values:
        return values
    try:
        versions.check_version(values["schema_version"], versions.CONFIG)
    except ValueError as error:
        raise ConfigError(f"--config {file}: {error}") from error
    return without_own_fields(values)  # a run's own config.json, which repeats that run


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    if key.startswith(_ARGUMENT):
        path, last = ["env_args"], key.removeprefix(_ARGUMENT)
    else:
        *path, last = key.split(".")
    for part in path:
        inner = values.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"unknown field {key}: {part} has no fields of its own")
        values = inner
    values[last] = value


def parsed(text: str) -> Any:
    """A field's value as people type it: JSON where it can be read as that, else a text."""
    if text.lower() == "none":
        return None
    try:
        return json.loads(text)
    except (RecursionError, ValueError):
        return text


def _problem(problem: Any) -> str:
    """One of Pydantic's problems as a clause: field, value, what is allowed."""
    # An element of a list is named by its list: the value says which one.
    place = ".".join(part for part in problem["loc"] if isinstance(part, str))
    if place.startswith("env_args."):  # Pydantic names the kinds of value that it has tried, too
        return f"{_ARGUMENT}{problem['loc'][1]}: allowed is a JSON value, not nested too deeply"
    if problem["type"] == "extra_forbidden":
        place = next(iter(flat({place: problem["input"]})), place)  # a section's name may be wrong
        near, siblings = _near(place), ", ".join(_siblings(problem["loc"]))
        return f"unknown field {place}{near or f'; allowed: {siblings}'}"
    if problem["type"] == "model_type":
        return f"{place} is a section of fields; see those of its fields in `config show`"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == SECRET:
        return f"{place}: {message}" if place else message
    if problem["type"] == "value_error" and isinstance(problem["input"], Mapping):
        return f"{place}: {message}" if place else message
    if isinstance(problem["input"], Mapping) and problem["input"]:
        unknown = f"{place}.{next(iter(problem['input']))}"
        return f"unknown field {unknown}: {place} has no fields of its own"
    names = _choices(problem)
    hint = did_you_mean(str(problem["input"]), names)
    return f"{place} = {problem['input']!r}: {message[0].lower()}{message[1:]}{hint}"


def _choices(problem: Any) -> list[str]:
    """The texts that a field allows where it allows only some, as Pydantic lists them."""
    if problem["type"] == "literal_error":
        return re.findall(r"'([^']*)'", problem["ctx"]["expected"])
    return ["true", "false"] if problem["type"] == "bool_parsing" else []


def _near(place: str) -> str:
    """What to say of the fields that are near an unknown one, in its section or in another."""
    section, _, last = place.rpartition(".")
    parts = {key: key.rpartition(".") for key, *_ in describe_fields()}
    beside = {own: key for key, (other, _, own) in parts.items() if other == section}
    near = (
        [key for key, (_, _, own) in parts.items() if own == last]
        or [beside[own] for own in nearest(last, beside, cutoff=0.7)]
        or [key for key, (_, _, own) in parts.items() if len(last) > 2 and own.startswith(last)]
        or nearest(place, parts)
        or [key for key, (_, _, own) in parts.items() if own in nearest(last, [own])]
    )
    return meant(near[:3])


def _siblings(place: Sequence[Any]) -> list[str]:
    model: type[BaseModel] = RunConfig
    for part in place[:-1]:
        kind = model.model_fields[str(part)].annotation
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return []
        model = kind
    return list(model.model_fields)
