"""How long an answer may take and how large it may be, whatever a server sends.

The packages of the shipped providers send their requests through httpx, or its successor httpx2.
Their own time limits are for each piece of an answer, and they have none for its size. So here
every read of a request's connection ends at the request's deadline, which closes the connection,
and a body is counted while it is unpacked: answers, error pages and redirects alike.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from operator import attrgetter
from typing import Any, Final

from langchain_core.language_models import BaseChatModel

from tutelage.agents.client.errors import OversizedError

LARGEST_BODY: Final = 32 << 20
"""Bytes of the largest body that is taken, as it comes and unpacked."""

MOST_VALUES: Final = 1 << 19
"""How many values its JSON may hold: in memory each of them takes many times its bytes, and each
takes time when nothing is read any more. Long answers that come in small pieces hold 100,000."""

_PIECE: Final = 1 << 16
"""Bytes that are unpacked at once."""

_BEFORE_VALUES: Final = (b"[", b"{", b",")

_ZLIB: Final = ("gzip", "x-gzip", "deflate")
_EITHER: Final = 32 + zlib.MAX_WBITS
"""For zlib: a packed body of either kind, gzip or deflate."""

_CLIENTS: Final = (
    "root_client._client",
    "_client._client",
    "client._api_client._httpx_client",
)
"""Where LangChain's chat models keep the client that sends: OpenAI's and those made from it,
Anthropic's and Ollama's, Google's."""

_running: Final = threading.local()
"""deadline: of the request that this thread has under way, by `monotonic`."""


def bound(model: BaseChatModel) -> None:
    """Bound what a chat model sends and gets, where it sends through a client that is known."""
    for place in _CLIENTS:
        client: Any = None
        with suppress(Exception):  # somebody's own model may have anything there
            client = attrgetter(place)(model)
        hooks = getattr(client, "event_hooks", None)
        if not isinstance(hooks, dict) or _bound_body in hooks["response"]:
            continue
        hooks["request"].append(_want_it_plain)
        hooks["response"].append(_bound_body)
        for transport in (client._transport, *client._mounts.values()):
            pool = getattr(transport, "_pool", None)  # no transport: a host without its proxy
            if pool is not None:
                pool._network_backend = _Network(pool._network_backend)


@contextmanager
def ending_in(seconds: float) -> Iterator[None]:
    """What this thread sends meanwhile through a bounded client ends then, with TimeoutError."""
    _running.deadline = time.monotonic() + seconds
    try:
        yield
    finally:
        del _running.deadline


def _left(timeout: float | None) -> float | None:
    """The time that a step may take: the package's own limit, or less. Raises TimeoutError."""
    deadline = getattr(_running, "deadline", None)
    if deadline is None:
        return timeout
    left: float = deadline - time.monotonic()
    if left <= 0.0:
        raise TimeoutError("no whole answer in time")
    return left if timeout is None else min(timeout, left)


class _Network:
    """Makes connections that keep to the deadline; an httpcore.NetworkBackend."""

    def __init__(self, network: Any) -> None:
        self._network = network

    def connect_tcp(self, *place: Any, timeout: float | None = None, **options: Any) -> _Connection:
        made = self._network.connect_tcp(*place, timeout=_left(timeout), **options)
        return _Connection(made)

    def connect_unix_socket(self, *place: Any, **options: Any) -> _Connection:
        return _Connection(self._network.connect_unix_socket(*place, **options))

    def sleep(self, seconds: float) -> None:
        self._network.sleep(seconds)


class _Connection:
    """A connection that keeps to the deadline; an httpcore.NetworkStream."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        read: bytes = self._stream.read(max_bytes, timeout=_left(timeout))
        return read

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout=_left(timeout))

    def start_tls(self, *how: Any, timeout: float | None = None, **options: Any) -> _Connection:
        return _Connection(self._stream.start_tls(*how, timeout=_left(timeout), **options))

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _want_it_plain(request: Any) -> None:
    """Ask for a body that is not packed: of a packed one nobody knows how large it will be."""
    request.headers["accept-encoding"] = "identity"


def _bound_body(response: Any) -> None:
    """Count a response's body while it is read, and unpack it here, a piece at a time."""
    packed = response.headers.pop("content-encoding", "identity").strip().lower()
    kind = next(kind for kind in type(response.stream).__mro__ if kind.__name__ == "SyncByteStream")
    response.stream = _body_of(kind)(response.stream, packed)


@cache
def _body_of(kind: type) -> type:
    """The class of bounded bodies, of the kind that one of the two packages takes."""
    return type("BoundedBody", (_Body, kind), {})


class _Body:
    """A body of bounded size. Raises OversizedError, and ValueError where it cannot be unpacked."""

    def __init__(self, stream: Any, packed: str) -> None:
        self._stream = stream
        self._packed = packed

    def __iter__(self) -> Iterator[bytes]:
        size = values = 0
        for piece in self._pieces():
            size += len(piece)
            values += sum(piece.count(mark) for mark in _BEFORE_VALUES)
            if size > LARGEST_BODY:
                raise OversizedError(f"the answer is larger than {LARGEST_BODY >> 20} MB")
            if values > MOST_VALUES:
                raise OversizedError(f"the answer has more than {MOST_VALUES:,} values")
            yield piece

    def _pieces(self) -> Iterator[bytes]:
        """The body unpacked; what follows the end of a packed one is no part of it."""
        if self._packed in ("", "identity"):
            yield from self._stream
            return
        if self._packed not in _ZLIB:
            raise ValueError(f"the answer is packed in a way that nobody asked for: {self._packed}")
        unpacker = zlib.decompressobj(_EITHER)
        for raw in self._stream:
            while raw and not unpacker.eof:
                yield unpacker.decompress(raw, _PIECE)
                raw = unpacker.unconsumed_tail
        yield unpacker.flush()  # where the end is missing, the JSON in it says so

    def close(self) -> None:
        self._stream.close()
