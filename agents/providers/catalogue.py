"""The providers that are known by name: their packages, their keys, and which can be used here.

Nothing heavy is imported here, so that listing them is quick.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Final

from tutelage.agents.common.settings import OFFLINE
from tutelage.agents.providers.keys import clean_keys, load_keys

HUMAN: Final = "human"
REPLAY: Final = "replay"

RATED: Final = ("faulty", "forgetful")
"""Embedded teachers whose fault befalls a share of situations: NAME:RATE."""

UNRATED: Final = ("adversarial", "weak")
"""Embedded teachers with a fault that is always there."""

EMBEDDED: Final = (OFFLINE, "faulty:RATE", "adversarial", "forgetful:RATE", "weak")
"""The scripts, no LLMs, as people write them."""

ENTRY_POINTS: Final = "tutelage.providers"

KNOWN: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "anthropic": ("langchain-anthropic", ("ANTHROPIC_API_KEY",)),
    "cohere": ("langchain-cohere", ("COHERE_API_KEY",)),
    "deepseek": ("langchain-deepseek", ("DEEPSEEK_API_KEY",)),
    "google_genai": ("langchain-google-genai", ("GOOGLE_API_KEY", "GEMINI_API_KEY")),
    "groq": ("langchain-groq", ("GROQ_API_KEY",)),
    "mistralai": ("langchain-mistralai", ("MISTRAL_API_KEY",)),
    "ollama": ("langchain-ollama", ()),
    "openai": ("langchain-openai", ("OPENAI_API_KEY",)),
    "openrouter": ("langchain-openrouter", ("OPENROUTER_API_KEY",)),
    "xai": ("langchain-xai", ("XAI_API_KEY",)),
}
"""LangChain's names, the packages, and the variables that may hold a key, none where none is
needed."""

_EXTRAS: Final = {"anthropic": "anthropic", "google_genai": "google", "ollama": "ollama"}


@dataclass(frozen=True)
class ProviderInfo:
    """A provider that is known by name, and whether it could be used here and now.

    name: as `--provider` takes it. install: the command that installs it, None where it is there.
    key_variables: the environment variables that may hold its key, none where it needs none.
    """

    name: str
    package: str
    installed: bool
    install: str | None
    key_variables: tuple[str, ...]
    key_present: bool


def list_providers() -> list[ProviderInfo]:
    """The providers that need no model, the best known ones, and those that entry points add.

    Raises KeyFileError.
    """
    load_keys()
    own = [_plain(name, "tutelage") for name in (*EMBEDDED, HUMAN, f"{REPLAY}:FILE")]
    known = [_known(name) for name in KNOWN]
    added = sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name)
    return own + known + [_plain(point.name, point.value) for point in added]


def is_embedded(provider: str) -> bool:
    """Whether a provider, as `--provider` takes it, is a script of this program."""
    return provider.partition(":")[0] in {name.partition(":")[0] for name in EMBEDDED}


def reads_prompts(provider: str) -> bool:
    """Whether a provider's answers depend on the words of the prompts.

    A script reads the situation alone, a person is shown it, and a recording is looked up by it.
    """
    return not is_embedded(provider) and provider.partition(":")[0] not in (HUMAN, REPLAY)


def is_installed(name: str) -> bool:
    """Whether a provider's package is there; True for those that are not known by name."""
    if name not in KNOWN:
        return True
    return importlib.util.find_spec(KNOWN[name][0].replace("-", "_")) is not None


def not_installed(name: str, package: str) -> str:
    """The message where a provider's package is missing, with the command that installs it."""
    return f"provider {name!r} needs the package {package}: {_install(name, package)}"


def keys_at_hand(provider: str) -> tuple[str, ...]:
    """The variables that hold a key which a provider's package would send.

    White space around them is taken off. Raises KeyFileError and UnusableKeyError.
    """
    load_keys()
    name = provider.partition(":")[0]
    variables = variables_of(name) or (f"{name.upper()}_API_KEY",)
    clean_keys(variables)
    return tuple(variable for variable in variables if os.environ.get(variable))


def variables_of(name: str) -> tuple[str, ...]:
    """The environment variables that may hold a provider's key; none where it needs none."""
    return KNOWN[name][1] if name in KNOWN else ()


def any_present(variables: Sequence[str]) -> bool:
    """Whether one of the variables holds something, or none is needed."""
    return not variables or any(os.environ.get(variable, "").strip() for variable in variables)


def _known(name: str) -> ProviderInfo:
    package, variables = KNOWN[name]
    installed = is_installed(name)
    install = None if installed else _install(name, package)
    return ProviderInfo(
        f"{name}:MODEL", package, installed, install, variables, any_present(variables)
    )


def _plain(name: str, package: str) -> ProviderInfo:
    """One that comes with a package which is there, and needs no key that we know of."""
    return ProviderInfo(name, package, True, None, (), True)


def _install(name: str, package: str) -> str:
    """The command, by an extra of our own where there is one: it bounds the version."""
    return (
        f'pip install "tutelage[{_EXTRAS[name]}]"' if name in _EXTRAS else f"pip install {package}"
    )
