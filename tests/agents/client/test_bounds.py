"""Answers without end and of any size: each request ends in time, and takes no more than it may."""

from __future__ import annotations

import gzip
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.outputs import ChatResult

from helpers.fork_server import ForkServer
from helpers.openai_server import OpenAIServer, Reply, teach
from helpers.planners import LIBRARY, TASK, run_once, settings
from tutelage.agents.client.chat_model import ChatProvider
from tutelage.agents.client.pool import Patience
from tutelage.agents.planner.answer import PlannerAnswer
from tutelage.agents.providers.make import make_chat_model
from tutelage.agents.teacher.teacher import Teacher

Write = Callable[[BaseHTTPRequestHandler], None]
"""Writes an answer, until the connection is closed."""

TIMEOUT_S: Final = 0.15
MIB: Final = 1 << 20
OTHERS: Final = ("anthropic", "google_genai", "ollama")


def endless(chunk: bytes, code: int = 200, pause_s: float = 0.0, **headers: str) -> Write:
    """A body without end, this chunk over and over."""

    def write(handler: BaseHTTPRequestHandler) -> None:
        begin(handler, code, **{"Transfer-Encoding": "chunked", **headers})
        while True:
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            time.sleep(pause_s)

    return write


def endless_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        handler.wfile.write(b"a")
        time.sleep(0.02)


def packed(body: bytes, encoding: str = "gzip", code: int = 200) -> Write:
    def write(handler: BaseHTTPRequestHandler) -> None:
        length = str(len(body))
        begin(handler, code, **{"Content-Encoding": encoding, "Content-Length": length})
        handler.wfile.write(body)
        if not handler.rfile.read(1):
            raise ConnectionError("nothing more is wanted on this connection")

    return write


def begin(handler: BaseHTTPRequestHandler, code: int, **headers: str) -> None:
    handler.send_response(code)
    for name, value in {"Content-Type": "application/json", **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()


@contextmanager
def serving(write: Write) -> Iterator[tuple[str, list[float]]]:
    """The address, and when connections were closed before their answer was whole."""
    closed: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # the base class's name
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                write(self)
            except OSError:
                closed.append(time.monotonic())
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", closed
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.setenv(name, "a-key-of-no-worth-at-all-0123456789")


def asked(write: Write, provider: str = "openai", timeout_s: float = 60.0) -> PlannerAnswer:
    """The answer of a server. The connection is closed by then, and no thread is left."""
    before = set(threading.enumerate())
    chosen = settings(samples=1, max_tries=1, timeout_s=timeout_s)
    with serving(write) as (url, closed):
        address = f"{url}/v1" if provider == "openai" else url
        teacher = Teacher(TASK, LIBRARY, make_chat_model(f"{provider}:m", address, chosen), chosen)
        answer = run_once(teacher, [1])[1]
        teacher.close()
        deadline = time.monotonic() + 5.0
        while not closed and time.monotonic() < deadline:
            time.sleep(0.01)
        assert closed, "the connection was left open"
        left = [t for t in set(threading.enumerate()) - before if t.name == "teacher"]
        for thread in left:
            thread.join(1.0)
        assert not any(thread.is_alive() for thread in left)
    return answer


SLOW: dict[str, Write] = {
    "body": endless(b" ", pause_s=0.02),
    "headers": endless_headers,
    "error page": endless(b" ", code=500, pause_s=0.02),
}


@pytest.mark.parametrize(
    "provider", ["openai", *(pytest.param(p, marks=pytest.mark.slow) for p in OTHERS)]
)
@pytest.mark.parametrize("kind", SLOW)
def test_a_request_ends_at_its_deadline(kind: str, provider: str) -> None:
    began = time.monotonic()
    answer = asked(SLOW[kind], provider, TIMEOUT_S)
    # Of an error page some packages say that there was one, and no more.
    assert answer.failure in ("timed_out", "provider_down" if kind == "error page" else None)
    assert time.monotonic() - began < 5.0


BOMB: Final = gzip.compress(b"[" + b" " * (40 * MIB))
LARGE: dict[str, Write] = {
    "body": endless(b" " * 65536),
    "error page": endless(b" " * 65536, code=500),
    "redirect": endless(b" " * 65536, code=307, Location="/v1/elsewhere"),
    "gzip": packed(BOMB),
    "gzip error page": packed(BOMB, code=503),
    "deflate": packed(zlib.compress(b" " * (40 * MIB)), "deflate"),
}


@pytest.mark.slow
@pytest.mark.parametrize("provider", ["openai", *OTHERS])
@pytest.mark.parametrize("kind", LARGE)
def test_a_body_is_bounded(kind: str, provider: str) -> None:
    answer = asked(LARGE[kind], provider)
    assert answer.failure == "provider_down"
    assert answer.calls[-1].error == "OversizedError: the answer is larger than 32 MB"


@pytest.mark.parametrize("chunk", [b"{}," * 20_000, b"0," * 30_000, b"[[" * 30_000])
def test_values_are_counted_too(chunk: bytes) -> None:
    """Empty objects fill the memory and the time with a body that is far from the largest."""
    answer = asked(endless(chunk))
    assert answer.calls[-1].error == "OversizedError: the answer has more than 524,288 values"


def test_a_way_of_packing_that_nobody_asked_for() -> None:
    with serving(packed(b"abc", "br")) as (url, _):
        chosen = settings(samples=1, max_tries=1)
        teacher = Teacher(TASK, LIBRARY, make_chat_model("openai:m", f"{url}/v1", chosen), chosen)
        assert run_once(teacher, [1])[1].failure == "unusable_answer"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_an_answer_that_is_packed_all_the_same_is_read(encoding: str) -> None:
    def answer(body: dict[str, Any]) -> Reply:
        content = teach()(body).content
        sent = gzip.compress(content) if encoding == "gzip" else zlib.compress(content)
        return Reply(body=sent, headers={"Content-Encoding": encoding})

    with OpenAIServer(answer) as server:
        chosen = settings(samples=1)
        model = make_chat_model("openai:m", server.base_url, chosen)
        assert run_once(Teacher(TASK, LIBRARY, model, chosen), [1])[1].advice is not None
        assert server.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["body", "gzip"])
def test_memory_is_kept(kind: str, server: ForkServer) -> None:
    bomb = gzip.compress(b" " * (1 << 30), 1)
    write = packed(bomb) if kind == "gzip" else LARGE[kind]
    with serving(write) as (url, _):
        line = ["providers", "check", "openai:m", "--base-url", f"{url}/v1"]
        done = server.run(line, memory=400 * MIB)
    assert done.code == 1, done.err
    assert "larger than 32 MB" in done.out + done.err
    assert "Traceback" not in done.err


class Hanging(BaseChatModel):
    """A model of somebody's own, which no deadline reaches."""

    let_go: Any

    @property
    def _llm_type(self) -> str:
        return "hanging"

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        self.let_go.wait()
        return ChatResult(generations=[])


@pytest.mark.slow
def test_of_other_packages_no_more_requests_hang_than_may_be_under_way() -> None:
    before, let_go = threading.active_count(), threading.Event()
    chosen = settings(samples=1, max_tries=1, timeout_s=0.05, concurrency=2)
    chosen = chosen.model_copy(update={"uncertainty": "logprobs"})  # a mode that needs no tools
    provider = ChatProvider(Hanging(let_go=let_go), "own", "own", {"provider": "own"}, False)
    teacher = Teacher(TASK, LIBRARY, provider, chosen)
    for iteration in (1, 100, 1000):
        found = run_once(teacher, [1, 2, 3, 4], iteration)
        assert {answer.failure for answer in found.values()} <= {"timed_out"}
    assert teacher.counters.calls == 2
    teacher.close()
    deadline = time.monotonic() + 5.0
    while threading.active_count() - before > 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() - before == 2
    let_go.set()


def test_patience() -> None:
    patience, let_go = Patience(1), threading.Event()
    assert patience.within(5.0, lambda: 7) == 7
    assert not patience.is_over
    with pytest.raises(TimeoutError):
        patience.within(0.01, let_go.wait)
    assert patience.is_over
    let_go.set()
    deadline = time.monotonic() + 5.0
    while patience.is_over and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not patience.is_over
