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

from tutelage.agents.client.parameters import named_in
from tutelage.agents.common.addresses import public_url
from tutelage.agents.common.redact import REDACTED, redactor

FailureName = Literal[
    "provider_down",
    "timed_out",
    "rate_limited",
    "refused",
    "no_credit",
    "not_found",
    "not_compatible",
    "bad_request",
    "too_long",
    "filtered",
    "unusable_answer",
    "cut_off",
    "budget_spent",
    "not_recorded",
]
"""provider_down: no connection, or a server error (5xx). timed_out: no answer in time.
rate_limited: too many requests (429). refused: the key or its rights (401, 403). no_credit: the
account has nothing left to pay with, or is blocked (402, and what says so). not_found: there is no
such model, or nothing at that address (404). not_compatible: what answers there does not speak
OpenAI's protocol, or not at that path: a web page, an event stream, `404 page not found`.
bad_request: the server or the client library rejects what is asked (other 4xx). too_long: the
question does not fit into the model's context. filtered: the provider's content filter stopped the
question or the answer. unusable_answer: something came back, and it is no plan. cut_off: the answer
ended at its limit of tokens. budget_spent: the run may make no further request. not_recorded: the
file that is replayed has no answer.

An error that a server puts into the body of an answer of status 200 has the name that its own code
would have as a status."""

REFUSALS: Final = frozenset({"refused", "no_credit", "not_found", "not_compatible"})
"""Nobody but the user can change that: every question would end the same until then."""

HOPELESS: Final = REFUSALS | {
    "bad_request",
    "too_long",
    "filtered",
    "unusable_answer",
    "cut_off",
    "budget_spent",
}
"""Asking again at once would end the same; an unusable answer has been sent back by then."""

FINAL: Final = frozenset({"budget_spent", "not_recorded"})
"""Asking again at any time would end the same."""

PROVIDER_FAULTS: Final = REFUSALS | {
    "provider_down",
    "timed_out",
    "rate_limited",
    "bad_request",
    "too_long",
}
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
_TOO_LONG: Final = re.compile(
    r"context[ _](length|window|size)|exceed_context|context the overflows|prompt is too long"
    r"|input token count|too many (input )?tokens|request too large|reduce the length of",
    re.IGNORECASE,
)
"""How OpenAI, vLLM, llama.cpp, LM Studio, Anthropic, Google and Groq say so."""
_FILTERED: Final = re.compile(
    r"content_filter|content (management )?policy|content_policy|ResponsibleAI|data_inspection"
    r"|flagged_input|\b(input|prompt|request|content)\b[^.]{0,20} flagged",
    re.IGNORECASE,
)
"""How Azure, OpenAI, DashScope and OpenRouter say, with 400 or 403, that a text is refused."""
_NO_API: Final = re.compile(
    r"page not found|unexpected endpoint|invalid url|cannot post|file not found"
    r"|\b(unknown|no such) (endpoint|route|path|url)|\bdetail\W+(not found|method not allowed)"
    r"|\bHTTPS? (request|server)\b[^.]{0,20} HTTPS (server|port)|<!doctype html|<html",
    re.IGNORECASE,
)
"""How Ollama, LM Studio, vLLM, llama.cpp, OpenAI and web servers say that a path is not served."""
_CONNECTION_KINDS: Final = frozenset({"ConnectError", "TransportError", "OSError"})
_MEANT: Final = (
    (402, _NO_CREDIT),
    (404, _NO_API),
    (400, _TOO_LONG),
    (400, _FILTERED),
    (429, re.compile(r"rate.?limit|too many requests|quota", re.IGNORECASE)),
    (401, re.compile(r"authenticat|unauthori[sz]ed|api[ _]?key", re.IGNORECASE)),
    (404, re.compile(r"model\b.{0,80}\b(not found|does not exist)", re.IGNORECASE)),
    (400, re.compile(r"invalid.?request|bad.?request|unsupported|not supported", re.IGNORECASE)),
)
_UNEXPECTED: Final = re.compile(
    r"unexpected keyword argument|is not supported|extra inputs are not permitted", re.IGNORECASE
)
_URL_CREDENTIALS: Final = re.compile(r"(?<=://)[^@\s]+(?=@)")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_PROXY_VARIABLES: Final = "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY"
_UNKNOWN_AUTHORITY: Final = frozenset({18, 19, 20, 21})
"""OpenSSL's codes of certificates that nobody known has signed."""
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


class BodyError(Exception):
    """An error that a server has put into the body of an answer of status 200.

    status_code: the HTTP status that it stands for. body: the error as it was sent.
    """

    def __init__(self, status_code: int, said: str, body: object) -> None:
        super().__init__(f"error code {status_code} inside an answer of status 200: {said}")
        self.status_code = status_code
        self.body = body


class NotCompatibleError(Exception):
    """An answer of status 200 that is none of OpenAI's protocol; the message begins to quote it."""


class OversizedError(ConnectionError):
    """A body that is larger than any answer; its connection is closed before its end."""


def name_failure(error: BaseException) -> FailureName:
    """The name of what an exception from a chat model stands for."""
    status = _status(error)
    if status is not None:
        return _name_status(status, _said(error))
    causes = list(_chain(error))
    if any(isinstance(cause, NotCompatibleError) for cause in causes):
        return "not_compatible"
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
    if name in REFUSALS or name in ("too_long", "filtered"):
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
    if status in (400, 403, 422) and _FILTERED.search(said):
        return "filtered"
    if status == 405 or (status in (400, 404) and _NO_API.search(said)):
        return "not_compatible"
    if status == 413 or (status in (400, 422, 500) and _TOO_LONG.search(said)):
        return "too_long"
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


def named_parameters(error: BaseException) -> list[str]:
    """The request's parameters that an error names in the fields of its body."""
    bodies = (getattr(cause, "body", None) for cause in _chain(error))
    return next((named for body in bodies if (named := named_in(body))), [])


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
    if name_failure(error) in ("not_found", "not_compatible"):
        line = f"{line}{_asked(error, model)}"
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
            line = f"the server's certificate is not trusted ({cause.verify_message})"
            if cause.verify_code in _UNKNOWN_AUTHORITY:
                line += "; SSL_CERT_FILE names a file with that of an authority of your own"
            return line
        if _is_of_a_proxy(cause):
            said = "" if cause is error else f": {cause}"
            return f"the proxy refuses ({_PROXY_VARIABLES} in the environment){said}"
    *_, first = _chain(error)
    if not isinstance(first, OSError):
        return None
    return f"{first}{_by_way_of(error)}"


def _asked(error: BaseException, model: BaseChatModel) -> str:
    """The address that was asked, where the exception or the model knows it."""
    for cause in _chain(error):
        with suppress(Exception):  # what a package keeps there, or raises where it keeps nothing
            return f" (asked {public_url(str(cause.request.url))})"  # type: ignore[attr-defined]
    address = getattr(model, "openai_api_base", None)
    return f" (asked {public_url(address)})" if isinstance(address, str) else ""


def status_meant(said: str) -> int:
    """The HTTP status that the words of an error stand for, where it has no code of its own.

    500 for words that do not tell: most of these errors are those of a gateway's own provider.
    """
    return next((status for status, words in _MEANT if words.search(said)), 500)


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
