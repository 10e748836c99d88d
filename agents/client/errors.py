"""The names of what can go wrong between us and a model, and how an exception gets its name.

Chat models of many packages raise many exceptions. What they share is looked at here: an HTTP
status, a class name, a message; so no provider's package needs to be imported.
"""

from __future__ import annotations

import math
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Final, Literal
from urllib.request import getproxies_environment, proxy_bypass

from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from tutelage.agents.common.redact import REDACTED, redactor

FailureName = Literal[
    "provider_down",
    "timed_out",
    "rate_limited",
    "refused",
    "no_credit",
    "not_found",
    "bad_request",
    "unusable_answer",
    "budget_spent",
    "not_recorded",
]
"""provider_down: no connection, or a server error (5xx). timed_out: no answer in time.
rate_limited: too many requests (429). refused: the key or its rights (401, 403). no_credit: the
account has nothing left to pay with, or is blocked (402, and what says so). not_found: there is no
such model, or nothing at that address (404). bad_request: the server or the client library rejects
what is asked (other 4xx). unusable_answer: something came back, and it is no plan. budget_spent:
the run may make no further request. not_recorded: the file that is replayed has no answer."""

REFUSALS: Final = frozenset({"refused", "no_credit", "not_found"})
"""Nobody but the user can change that: every question would end the same until then."""

HOPELESS: Final = REFUSALS | {"bad_request", "unusable_answer", "budget_spent"}
"""Asking again at once would end the same; an unusable answer has been sent back by then."""

FINAL: Final = frozenset({"budget_spent", "not_recorded"})
"""Asking again at any time would end the same."""

PROVIDER_FAULTS: Final = REFUSALS | {"provider_down", "timed_out", "rate_limited", "bad_request"}
"""Not the situation's fault: other situations would fare the same."""

OUT_OF_REACH: Final = PROVIDER_FAULTS - {"timed_out", "rate_limited"}
"""Nothing that is sent there would fare better for now, however long it is waited for."""

_REJECTING: Final = frozenset({400, 422, 501})
_TOOL_TROUBLE: Final = re.compile(r"tool|jinja|response_format", re.IGNORECASE)
_NO_CREDIT: Final = re.compile(
    r"insufficient[_ ](quota|balance|credit|funds)|credit balance|out of credits"
    r"|billing_(not_active|hard_limit_reached)|account_deactivated|account[^.]{0,20} (is|was|has "
    r"been) (blocked|deactivated|suspended|disabled)",
    re.IGNORECASE,
)
"""How OpenAI, Anthropic, DeepSeek, OpenRouter, Groq and others say so, under several statuses. Not
"exceeded your current quota": Google says that of a minute's quota, too."""
_BAD_KEY: Final = re.compile(r"api[ _]key[ _]((is|was) )?(not valid|invalid)", re.IGNORECASE)
"""How Google says it, with 400."""
_NO_ROUTE: Final = re.compile(r"no endpoints found that", re.IGNORECASE)
"""How OpenRouter says, with 404, that nobody serves that model with these parameters."""
_CONNECTION_KINDS: Final = frozenset({"ConnectError", "TransportError", "OSError"})
_UNEXPECTED: Final = re.compile(
    r"unexpected keyword argument|is not supported|extra inputs are not permitted", re.IGNORECASE
)
_URL_CREDENTIALS: Final = re.compile(r"(?<=://)[^@\s]+(?=@)")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_PROXY_VARIABLES: Final = "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY"
_SHORTEST_SECRET: Final = 6
_LONGEST_ERROR: Final = 500


class UnusableAnswer(ValueError):  # noqa: N818  # named as what it is: an answer
    """An answer that is no plan. The message says why, in one line.

    shapeless: it has not even the form of one, so that another output mode may help.
    """

    def __init__(self, reason: str, shapeless: bool = False) -> None:
        super().__init__(reason)
        self.shapeless = shapeless


class RedirectedError(Exception):
    """A server leads to another one, where no key may go. The message is one line."""


class OversizedError(ConnectionError):
    """A body that is larger than any answer; its connection is closed before its end."""


def name_failure(error: BaseException) -> FailureName:
    """The name of what an exception from a chat model stands for."""
    status = _status(error)
    if status is not None:
        return _name_status(status, _said(error))
    causes = list(_chain(error))
    if any(isinstance(cause, RedirectedError) for cause in causes):
        return "not_found"
    if any(isinstance(cause, UnicodeEncodeError) for cause in causes):
        return "refused"
    if any(_is_of_a_proxy(cause) for cause in causes):
        return "provider_down"
    kinds = [kind.__name__ for cause in causes for kind in type(cause).__mro__]
    if any("Timeout" in kind for kind in kinds):
        return "timed_out"
    if any(kind in _CONNECTION_KINDS or kind.endswith("ConnectionError") for kind in kinds):
        return "provider_down"
    if isinstance(error, NotImplementedError) or _UNEXPECTED.search(str(error)):
        return "bad_request"
    return "unusable_answer"


def is_rejection(error: BaseException) -> bool:
    """Whether the request mode may be to blame, so that a simpler one should be tried.

    Servers answer 400, 422 or 501 for a parameter they do not know; llama.cpp answers 500 for
    tools when it was started without `--jinja`, and OpenRouter 404.
    """
    status, name = _status(error), name_failure(error)
    if status is None or status == 404:
        return name == "bad_request"
    if name in REFUSALS:
        return False
    return status in _REJECTING or (status >= 500 and bool(_TOOL_TROUBLE.search(str(error))))


def retry_after(error: BaseException) -> float | None:
    """The seconds after which a server wants to be asked again; None where it does not say.

    RFC 9110, section 10.2.3: a number of seconds or a date. OpenAI's servers add one in
    milliseconds, which is the finer one.
    """
    for cause in _chain(error):
        headers = getattr(getattr(cause, "response", None), "headers", None)
        if not isinstance(headers, Mapping):
            continue
        finer = _seconds(headers.get("retry-after-ms"))
        if finer is not None:
            return finer / 1000.0
        return _seconds(headers.get("retry-after"))
    return None


def _seconds(value: object) -> float | None:
    """Seconds from now; None for what is neither a number nor a date, and for what is past."""
    text = str(value or "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, OverflowError, OSError):
            return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def _name_status(status: int, said: str) -> FailureName:
    if status == 402 or (status < 500 and _NO_CREDIT.search(said)):
        return "no_credit"
    if status in (401, 403) or (status == 400 and _BAD_KEY.search(said)):
        return "refused"
    if status == 404 and not _NO_ROUTE.search(said):
        return "not_found"
    if status == 429:
        return "rate_limited"
    if status in (408, 504):
        return "timed_out"
    return "provider_down" if status >= 500 and status != 501 else "bad_request"


def _said(error: BaseException) -> str:
    """All that a server has said of an error. The body has codes that the message leaves out."""
    return " ".join(f"{cause} {getattr(cause, 'body', '')}" for cause in _chain(error))


def _status(error: BaseException) -> int | None:
    """The HTTP status of an error (4xx or 5xx), wherever the client library keeps it."""
    for cause in _chain(error):
        response = getattr(cause, "response", None)
        for value in (
            getattr(cause, "status_code", None),
            getattr(response, "status_code", None),
            getattr(cause, "code", None),
        ):
            if isinstance(value, int) and 400 <= value < 600:
                return value
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and what it was raised from."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def in_one_line(error: BaseException, model: BaseChatModel) -> str:
    """One line about a model's exception, without secrets and control characters.

    Client libraries say of all that befalls a connection that it was an error of the connection.
    Secrets are the model's own keys, and what looks like one: servers have been known to send a
    key back in an error.
    """
    error = next((cause for cause in _chain(error) if isinstance(cause, OversizedError)), error)
    line = f"{type(error).__name__}: {error}"
    cause = _cause(error)
    if cause is not None and cause not in line:
        line = f"{line.rstrip('.')}: {cause}"
    secrets = held_secrets(model)
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            line = line.replace(secret, REDACTED)
    line = _URL_CREDENTIALS.sub(REDACTED, redactor(secrets)(line))
    return _CONTROL.sub(" ", line)[:_LONGEST_ERROR]


def _cause(error: BaseException) -> str | None:
    """What a client library's `Connection error.` stands for; None where there is no more to it."""
    if _status(error) is not None:
        return None
    for cause in _chain(error):
        if isinstance(cause, RedirectedError):
            return str(cause)
        if isinstance(cause, UnicodeEncodeError):
            return "the key, or another header, holds a letter that no request can carry"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the server's certificate is not trusted ({cause.verify_message}); SSL_CERT_FILE "
                "names a file with that of an authority of your own"
            )
        if _is_of_a_proxy(cause):
            said = "" if cause is error else f": {cause}"
            return f"the proxy refuses ({_PROXY_VARIABLES} in the environment){said}"
    *_, first = _chain(error)
    if not isinstance(first, OSError):
        return None
    return f"{first}{_by_way_of(error)}"


def _is_of_a_proxy(cause: BaseException) -> bool:
    """Whether a proxy has refused, or has answered what no SOCKS proxy does."""
    kind = type(cause)
    return kind.__name__ == "ProxyError" or kind.__module__.startswith("socksio.")


def _by_way_of(error: BaseException) -> str:
    """That a request goes through a proxy, where the environment says so."""
    if not any(kind in getproxies_environment() for kind in ("all", "https", "http")):
        return ""
    for cause in _chain(error):
        with suppress(Exception):  # what a package keeps there, or raises where it keeps nothing
            host = str(cause.request.url.host)  # type: ignore[attr-defined]
            return "" if proxy_bypass(host) else f" (by way of {_PROXY_VARIABLES})"
    return ""


def held_secrets(model: BaseChatModel) -> list[str]:
    """The keys that a model was made with, wherever they came from."""
    held = [value for value in vars(model).values() if isinstance(value, SecretStr)]
    return [value.get_secret_value() for value in held]
