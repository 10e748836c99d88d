"""Makes a teacher's LangChain chat model from a provider's name.

    offline                  the task's own script (no LLM, no network)
    faulty:0.3, weak, ...    the same with a fault, see `agents.providers.imperfect`
    openai:gpt-4o-mini       any provider that LangChain's `init_chat_model` knows
    my_package.teacher:make  a function of your own, (settings) -> chat model
    NAME                     an entry point of the group `tutelage.providers`, the same function
    human                    the person at the terminal, see `agents.providers.human`
    replay:FILE              recorded answers, see `agents.providers.replay`

LangChain is imported only when a model is made, so that listing providers is quick.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import sys
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from tutelage.agents.client.prices import FREE, Price, find_price, own_file
from tutelage.agents.common.addresses import fault_of, public_url
from tutelage.agents.common.settings import OFFLINE, TeacherSettings
from tutelage.agents.providers.catalogue import (
    EMBEDDED,
    ENTRY_POINTS,
    HUMAN,
    KNOWN,
    RATED,
    UNRATED,
    any_present,
    is_installed,
    keys_at_hand,
    not_installed,
    variables_of,
)
from tutelage.agents.providers.certificates import check_certificates
from tutelage.agents.providers.keys import load_keys
from tutelage.agents.providers.proxies import check_proxies

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
from tutelage.agents.client.chat_model import ChatProvider
from tutelage.agents.client.limits import limit_field
from tutelage.rl.errors import UserError, meant, nearest
from tutelage.rl.tasks.base import UnknownTaskError
from tutelage.rl.tasks.dotted_path import working_directory_on_path
from tutelage.rl.tasks.own_code import explained, load_attribute
from tutelage.rl.tasks.scripts import script_of

_OPENAI: Final = "https://api.openai.com/v1"

_PLACEHOLDER_KEY: Final = "not-needed"
"""The key for a local server, where the client library insists on one."""

_OF_MODELS: Final = {
    "claude": "anthropic",
    "command": "cohere",
    "deepseek": "deepseek",
    "gemini": "google_genai",
    "grok": "xai",
    "llama": "ollama",
    "mistral": "mistralai",
}
"""Who has the models whose names begin so, where somebody has typed a model's name alone."""

_ADDRESS_VARIABLES: Final = ("_BASE_URL", "_API_BASE", "_API_URL", "_ENDPOINT", "OLLAMA_HOST")
"""How the variables end in which providers' packages look for an address."""

_ADDRESSES: Final = ("openai_api_base", "anthropic_api_url", "base_url", "endpoint")
"""Where chat models keep the address they speak to."""


class ProviderError(UserError):
    """A provider cannot be used. The message is one line and says what to do."""


def make_chat_model(
    provider: str, base_url: str | None, settings: TeacherSettings, task: object = None
) -> ChatProvider:
    """The chat model of a provider. Nothing is sent yet.

    base_url: the address of an OpenAI-compatible server, as in `openai:my-model`. task: the one
    that is taught, whose script the embedded teachers need (`rl.tasks.scripts`); others do without.
    Raises ProviderError, in one line, for a name, package, key or address that does not do, for an
    embedded teacher of a task without a script, and for a limit in dollars where the price is not
    known; KeyFileError or PriceFileError for a file that cannot be used, UnusableKeyError and
    ProxyError and CertificateError for what the environment says.
    """
    keep_tracing_private()
    _check_url(base_url)
    made = _made(provider, base_url, settings, task)
    price = _price(settings, made.price)
    if settings.budget_usd is not None and price is None:
        raise ProviderError(
            f"budget_usd = {settings.budget_usd:g}: no price is known for {made.name} there; "
            f"set teacher.usd_per_million_prompt_tokens and "
            f"teacher.usd_per_million_completion_tokens, or write it into {own_file()}"
        )
    return replace(made, price=price)


def _made(
    provider: str, base_url: str | None, settings: TeacherSettings, task: object
) -> ChatProvider:
    name, colon, rate = provider.partition(":")
    if name in (OFFLINE, *RATED, *UNRATED):
        return _embedded(provider, name, rate if colon else None, base_url, settings, task)
    if provider == HUMAN:
        return _human(base_url, settings)
    load_keys()
    points = entry_points(group=ENTRY_POINTS, name=provider)
    if points:
        point = next(iter(points))
        return _own(provider, _plug_in(provider, point.value, here=False), base_url, settings)
    prefix, colon, rest = provider.partition(":")
    if not (prefix and colon and rest):
        raise ProviderError(_unknown(provider))
    known = None if "." in prefix else _langchain(prefix, rest, base_url, settings)
    if known is not None:
        return known
    return _own(provider, _plug_in(provider, provider, here=True), base_url, settings)


def keep_tracing_private() -> None:
    """Keep LangChain from sending runs to LangSmith, unless the user has decided about that."""
    names = [f"{kind}_TRACING{end}" for kind in ("LANGSMITH", "LANGCHAIN") for end in ("", "_V2")]
    if not any(name in os.environ for name in names):
        os.environ["LANGSMITH_TRACING"] = "false"


def _embedded(
    provider: str,
    name: str,
    rate: str | None,
    base_url: str | None,
    settings: TeacherSettings,
    task: object,
) -> ChatProvider:
    """A script. rate: what stands behind the colon, None without one. Raises ProviderError."""
    from tutelage.agents.providers.imperfect import IMPERFECT
    from tutelage.agents.providers.offline import OfflineTeacher

    if base_url is not None:
        raise ProviderError(
            f"provider {provider!r} is a script without a server; a base URL goes with "
            "'openai:MODEL'"
        )
    script = script_of(task)
    answering: dict[str, Any] = {
        "script": script,
        "seed": settings.seed,
        "temperature": 1.0 if settings.temperature is None else settings.temperature,
        "max_options": settings.max_options,
    }
    if name in RATED:
        answering["rate"] = _rate(name, rate)
    elif rate is not None:
        raise ProviderError(f"provider {provider!r}: {name} takes nothing behind a colon")
    if script is None:
        raise ProviderError(
            f"provider {provider!r} teaches what the task's own script says, and task "
            f"{getattr(task, 'name', None)!r} has none: write its method script(situation), or "
            "name a model (--provider openai:MODEL), a recording (replay:FILE) or human"
        )
    model = IMPERFECT.get(name, OfflineTeacher)(**answering)
    identity = {"provider": name, **model._identifying_params}
    return ChatProvider(
        model,
        provider,
        model.script_name,
        identity,
        wait_always=True,
        price=FREE,
        kept=script.version > 0,
    )


def _rate(name: str, text: str | None) -> float:
    """The share of situations behind a provider's colon. Raises ProviderError for any other."""
    try:
        rate = float(text or "")
    except ValueError:
        rate = math.nan
    if not 0.0 <= rate <= 1.0:
        given = "nothing" if text is None else repr(text)
        raise ProviderError(
            f"provider '{name}:RATE': RATE is {given}; allowed: a share of situations, 0 to 1, "
            f"as in {name}:0.3"
        )
    return rate


def _human(base_url: str | None, settings: TeacherSettings) -> ChatProvider:
    """A person at the terminal. Raises ProviderError where there is no terminal."""
    from tutelage.agents.providers.human import MODEL_NAME, HumanTeacher

    if base_url is not None:
        raise ProviderError("provider 'human' sits at the terminal; it has no base URL")
    shown = sys.stdout.isatty() or sys.stderr.isatty()
    if not (sys.stdin is not None and sys.stdin.isatty() and shown):
        raise ProviderError(
            "provider 'human' asks at the terminal, and there is none here (standard input is a "
            "pipe or a file); run it where you can type"
        )
    model = HumanTeacher(max_options=settings.max_options)
    identity = {"provider": HUMAN, **model._identifying_params}
    return ChatProvider(model, HUMAN, MODEL_NAME, identity, wait_always=True, price=FREE)


def _langchain(
    name: str, model_name: str, base_url: str | None, settings: TeacherSettings
) -> ChatProvider | None:
    """A provider that `init_chat_model` knows; None where it does not know the name."""
    from langchain.chat_models import init_chat_model

    from tutelage.agents.providers.redirects import refuse_redirects

    if name == "openai":  # its client library takes the address from the environment
        named = base_url or os.environ.get("OPENAI_API_BASE")
        base_url = named or os.environ.get("OPENAI_BASE_URL")
    keys_at_hand(name)
    _check_addresses()
    check_proxies()
    check_certificates()
    arguments = _arguments(name, base_url, settings)
    # They quote what a server sent where its type is wrong: as it came, with all that it repeats.
    warnings.filterwarnings("ignore", "Pydantic serializer warnings", UserWarning)
    try:
        if name == "openai":
            from tutelage.agents.providers.reasoning import ReasoningChatOpenAI

            model: BaseChatModel = ReasoningChatOpenAI(
                model=model_name, renames_limit=not _is_openais(base_url), **arguments
            )
        else:
            model = init_chat_model(model_name, model_provider=name, **arguments)
    except ImportError as error:
        raise ProviderError(_not_imported(name, error)) from error
    except Exception as error:  # whatever a provider's package raises about its settings
        if isinstance(error, ValueError) and str(error).startswith("Unsupported"):
            return None
        raise ProviderError(
            f"provider {name!r} refuses its settings: {_first_line(error)}"
        ) from error
    refuse_redirects(model)
    address = base_url or _address(model)
    identity = {
        "provider": name,
        "model": model_name,
        "base_url": None if address is None else public_url(address),
        "temperature": settings.temperature,
        "seed": settings.seed,
    }
    if settings.max_tokens is not None:
        identity["max_tokens"] = settings.max_tokens
    price = find_price(name, model_name, address)
    return ChatProvider(
        model,
        f"{name}:{model_name}",
        model_name,
        identity,
        wait_always=False,
        price=price,
        limit_field=limit_field(model),
    )


def _is_openais(base_url: str | None) -> bool:
    """Whether an address is one of OpenAI's own, or of its models at Azure."""
    host = urlsplit(base_url or _OPENAI).hostname or ""
    return host.endswith(("openai.com", "azure.com"))


def _not_imported(name: str, error: ImportError) -> str:
    """What to say where a provider's package was not imported: it is missing, or it is broken.

    LangChain says that it is missing in both cases; what really happened is the error's cause.
    """
    cause = error.__cause__ if isinstance(error.__cause__, ImportError) else error
    missing = cause.name if isinstance(cause, ModuleNotFoundError) else None
    if missing is not None and missing.startswith("langchain_"):
        return not_installed(name, missing.partition(".")[0].replace("_", "-"))
    return f"provider {name!r} cannot be loaded: {_first_line(cause)}"


def _price(settings: TeacherSettings, known: Price | None) -> Price | None:
    """The price in the settings, else the one that is known."""
    price_in = settings.usd_per_million_prompt_tokens
    price_out = settings.usd_per_million_completion_tokens
    if price_in is None or price_out is None:
        return known
    return Price(price_in, price_out, "the settings")


def _arguments(name: str, base_url: str | None, settings: TeacherSettings) -> dict[str, Any]:
    """The arguments of a chat model's constructor. Retries are the planner's business.

    Raises ProviderError where the provider's package or key is missing.
    """
    if not is_installed(name):
        raise ProviderError(not_installed(name, KNOWN[name][0]))
    arguments: dict[str, Any] = {"temperature": settings.temperature}
    if name == "ollama":
        arguments["client_kwargs"] = {"timeout": settings.timeout_s}
    else:
        arguments |= {"timeout": settings.timeout_s, "max_retries": 0}
    if base_url is not None:
        arguments["base_url"] = base_url
    has_key = any_present(variables_of(name))
    if base_url is None and not has_key:
        raise ProviderError(
            f"provider {name!r} needs a key in the environment variable "
            f"{' or '.join(variables_of(name))}, or the base URL of a server that needs none"
        )
    if name == "openai" and base_url is not None:
        arguments["use_responses_api"] = False
        if not has_key:
            arguments["api_key"] = _PLACEHOLDER_KEY
    return arguments


def _own(
    provider: str, make: object, base_url: str | None, settings: TeacherSettings
) -> ChatProvider:
    """A chat model from the user's own function."""
    from langchain_core.language_models import BaseChatModel

    if base_url is not None:
        raise ProviderError(f"provider {provider!r} is your own code; a base URL belongs inside it")
    if not callable(make):
        raise ProviderError(f"provider {provider!r} is no function; needed: (settings) -> model")
    with working_directory_on_path():
        model = _loaded(provider, lambda: make(settings))
    if not isinstance(model, BaseChatModel):
        raise ProviderError(
            f"provider {provider!r} made {type(model).__name__}; needed: a LangChain chat model"
        )
    named = getattr(model, "model_name", None) or getattr(model, "model", None)
    model_name = named if isinstance(named, str) else model._llm_type
    identity = {
        "provider": provider,
        "model": model_name,
        "parameters": _digest(model._identifying_params),
        "temperature": settings.temperature,
        "seed": settings.seed,
    }
    price = find_price(provider, model_name)
    return ChatProvider(model, provider, model_name, identity, wait_always=False, price=price)


def _plug_in(provider: str, path: str, here: bool) -> object:
    """The object that a path, `module:attribute`, names. here: or in the working directory.

    Raises ProviderError that says what is missing: the module, something that it needs, or the
    attribute; and where the first of them was looked for.
    """
    module = path.partition(":")[0]
    places: AbstractContextManager[None] = working_directory_on_path() if here else nullcontext()
    try:
        with places:
            return load_attribute(f"provider {provider!r}", path, here)
    except UnknownTaskError as error:
        line, cause = str(error), error.__cause__
        # Of a name without a dot nobody knows whether a provider or a module was meant.
        if here and isinstance(cause, ModuleNotFoundError) and cause.name == module:
            if _near(provider):
                raise ProviderError(_unknown(provider)) from error
            line = f"{line}; it is no provider either, allowed: {_allowed()}"
        raise ProviderError(line) from error


def _loaded(provider: str, make: Callable[[], Any]) -> Any:
    """The result of the user's code; an exception of it becomes a ProviderError of one line."""
    try:
        return make()
    except Exception as error:  # whatever it is, it is reported in one line
        raise ProviderError(f"provider {provider!r}: {explained(error)}") from error


def _check_url(base_url: str | None) -> None:
    fault = None if base_url is None else fault_of(base_url)
    if fault is not None:
        shown = "" if "@" in str(base_url) else f" {base_url!r}"
        raise ProviderError(f"base URL{shown} {fault}")


def _check_addresses() -> None:
    """See that the environment names no address that would show its password in an error.

    Raises ProviderError, which repeats nothing of it.
    """
    for name, value in sorted(os.environ.items()):
        if name.endswith(_ADDRESS_VARIABLES) and "@" in value:
            fault = fault_of(value)
            if fault is not None:
                raise ProviderError(f"the address in {name} {fault}")


def _address(model: BaseChatModel) -> str | None:
    """The address that a model took from its environment or has built in."""
    values = [getattr(model, attribute, None) for attribute in _ADDRESSES]
    return next((value for value in values if isinstance(value, str)), None)


def _digest(parameters: object) -> str:
    """A hash of a model's own parameters: they may be anything, and they may hold secrets."""
    plain = json.dumps(parameters, sort_keys=True, default=lambda value: type(value).__qualname__)
    return hashlib.sha256(plain.encode()).hexdigest()


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return f"{type(error).__name__}: {text.splitlines()[0]}"


def _unknown(provider: str) -> str:
    family = _OF_MODELS.get(re.split("[^a-z]", provider)[0])
    near = [f"{family}:{provider}"] if family else _near(provider)
    if not near and ":" not in provider:
        near = [f"openai:{provider}"]
    return f"unknown provider {provider!r}{meant(near)}; allowed: {_allowed()}"


def _allowed() -> str:
    return (
        f"{', '.join(EMBEDDED)}, PROVIDER:MODEL with one of {', '.join(KNOWN)} or another that "
        "LangChain knows, MODULE:FUNCTION of your own, human, or replay:FILE"
    )


def _near(provider: str) -> list[str]:
    """The providers whose names are near the one that was typed, with what it has after a colon."""
    typed, _, rest = provider.partition(":")
    whole = (OFFLINE, *UNRATED, HUMAN, *entry_points(group=ENTRY_POINTS).names)
    kinds = dict.fromkeys(KNOWN, "MODEL") | dict.fromkeys(RATED, "RATE") | {"replay": "FILE"}
    if typed in kinds:
        return [f"{typed}:{kinds[typed]}"]
    return [
        name if name in whole else f"{name}:{rest or kinds[name]}"
        for name in nearest(typed, [*whole, *kinds], cutoff=0.7)
    ]
