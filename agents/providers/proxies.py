"""The proxies that the environment names, looked at before a provider's package trips over them.

Those packages send their requests through httpx, which takes the proxy from the same variables.
What it says of a bad one names neither the variable nor what to do.
"""

from __future__ import annotations

import importlib.util
import os
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

from tutelage.rl.errors import UserError

_USED: Final = ("all", "https", "http")
_SOCKS: Final = ("socks5", "socks5h")
_SCHEMES: Final = ("http", "https", *_SOCKS)


class ProxyError(UserError):
    """A proxy that requests cannot be sent through. The message repeats no user and password."""


def check_proxies() -> None:
    """Raises ProxyError for a variable without a usable address, or whose package is missing."""
    proxies = getproxies_environment()
    if "*" in [host.strip() for host in proxies.get("no", "").split(",")]:
        return
    for kind in _USED:
        address = proxies.get(kind)
        if address:
            _check(_variable(f"{kind}_proxy"), address if "://" in address else f"http://{address}")


def _check(variable: str, address: str) -> None:
    scheme = address.partition("://")[0].lower()
    if scheme not in _SCHEMES:
        raise ProxyError(
            f"{variable} = {scheme}://...: no requests can be sent through such a proxy; allowed: "
            f"{', '.join(f'{known}://' for known in _SCHEMES)}"
        )
    try:
        parts = urlsplit(address)
        is_address = parts.hostname is not None and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number, half a bracket
        is_address = False
    if not is_address or not (address.isascii() and address.isprintable() and " " not in address):
        raise ProxyError(f"{variable} is not the address of a proxy; needed: {scheme}://HOST:PORT")
    if scheme in _SOCKS and importlib.util.find_spec("socksio") is None:
        raise ProxyError(
            f"{variable} = {scheme}://...: a SOCKS proxy needs the package socksio: "
            "pip install socksio; or unset the variable"
        )


def _variable(name: str) -> str:
    """The variable as it is set: the small letters count first."""
    return name if os.environ.get(name) else name.upper()
