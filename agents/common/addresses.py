"""Addresses of servers: what of them may be shown, and whether they hide a password."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit, urlunsplit

_AT_TOO_LATE: Final = re.compile("[/?#].*@", re.DOTALL)
_PORTS: Final = {"http": 80, "https": 443}


def public_url(url: str) -> str:
    """A URL without credentials, query and fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port. Raises ValueError for what is no address."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def fault_of(url: str) -> str | None:
    """Why requests cannot be sent to an address; None where they can. Nothing of it is repeated.

    A password with one of `/?#` in it ends the host too early, and its parts would be taken for a
    port, a path or a query, and be shown as such.
    """
    if _AT_TOO_LATE.search(url.partition("://")[2]):
        return (
            "has an @ behind its host; what a user name, a password or a path has of / ? # @ : "
            "must be percent-encoded there, as in %2F for /"
        )
    try:
        scheme, host, _ = origin(url)
    except ValueError:
        return "is not an address; needed: http://HOST:PORT/v1 or https://..."
    if scheme not in ("http", "https") or not host:
        return "is not an address; needed: http://HOST:PORT/v1 or https://..."
    return None
