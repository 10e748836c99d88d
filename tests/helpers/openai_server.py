"""A loopback server that speaks OpenAI's chat-completions protocol, for tests.

It listens on a real socket of 127.0.0.1, so the client library, its timeouts and its errors are
the real ones. Left alone, it answers like a sensible teacher; given behaviours, it misbehaves:

    with OpenAIServer(status(429), teach()) as server:
        make_chat_model("openai:test-model", server.base_url, settings)

The first request gets the first behaviour, and so on; the last one is repeated.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from langchain_core.messages import AIMessage, convert_to_messages
from langchain_core.outputs import ChatGeneration

from tutelage.agents.providers.offline import OfflineTeacher
from tutelage.rl.minigrid.script import GridScript

Body = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What goes back. status 0: nothing, the connection is closed. delay_s: how long it takes.

    blanks: white space sent before the body, one character every 50 ms. drips: whether the body
    itself comes like that. cut: after so many bytes of the body the connection is closed.
    """

    status: int = 200
    body: bytes | Body = b""
    delay_s: float = 0.0
    blanks: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    drips: bool = False
    cut: int | None = None

    @property
    def content(self) -> bytes:
        """The body as it is sent."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Request:
    """What came in. headers: by lower-case name."""

    path: str
    headers: dict[str, str]
    body: Body


Behaviour = Callable[[Body], Reply]


def teach(*, most_choices: int = 64) -> Behaviour:
    """Answers as the offline teacher would. most_choices: `n` beyond it is silently ignored."""

    def answer(body: Body) -> Reply:
        model = OfflineTeacher(
            script=GridScript(), seed=body.get("seed", 0), temperature=body.get("temperature", 1.0)
        )
        result = model.generate(
            [convert_to_messages(body["messages"])],
            n=min(body.get("n") or 1, most_choices),
            tools=body.get("tools", []),
        )
        return completion([_as_sent(generation) for generation in result.generations[0]], body)

    return answer


def plans(*answers: Sequence[tuple[str, Any]]) -> Behaviour:
    """One choice for each answer, a list of (tool, arguments); arguments that are text go raw."""
    return lambda body: completion([tool_message(*answer) for answer in answers], body)


def talk(*texts: str) -> Behaviour:
    """One choice for each text, without a tool call."""
    messages = [{"role": "assistant", "content": text} for text in texts]
    return lambda body: completion(messages, body)


def status(code: int, message: str = "no", **headers: str) -> Behaviour:
    """An error in OpenAI's form. headers: with `_` for the `-` in their names."""
    error = {"error": {"message": message, "type": "error", "code": None}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Reply(code, error, headers=named)


def saying_no(code: int, message: str, kind: str | None = None) -> Behaviour:
    """An error in OpenAI's form with a code of its own, as in `insufficient_quota`."""
    return lambda _: Reply(code, {"error": {"message": message, "type": kind, "code": kind}})


def rejects(parameter: str, then: Behaviour) -> Behaviour:
    """400 where the request has a parameter, `n=1` apart; otherwise the other behaviour."""

    def answer(body: Body) -> Reply:
        if body.get(parameter) in (None, 1):
            return then(body)
        return status(400, f"Unsupported parameter: {parameter}")(body)

    return answer


def hang(seconds: float = 30.0) -> Behaviour:
    """No answer for so long."""
    return lambda _: Reply(delay_s=seconds)


def keep_alive(blanks: int) -> Behaviour:
    """Blanks for a long time, as some services send them while a model thinks."""
    return lambda _: Reply(body=b"{}", blanks=blanks)


def hang_up() -> Behaviour:
    """The connection is closed without an answer."""
    return lambda _: Reply(status=0)


def raw(content: bytes) -> Behaviour:
    """200 with any bytes."""
    return lambda _: Reply(body=content)


def tool_message(*calls: tuple[str, Any]) -> Body:
    """An assistant's message with tool calls."""
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": f"call_{position}",
                "type": "function",
                "function": {
                    "name": name,
                    "arguments": args if isinstance(args, str) else json.dumps(args),
                },
            }
            for position, (name, args) in enumerate(calls)
        ],
    }


def completion(messages: Sequence[Body], body: Body) -> Reply:
    """A completion with one choice for each message; 100 tokens in, 10 a choice out."""
    out = 10 * len(messages)
    return Reply(
        body={
            "id": "chatcmpl-test",
            "object": "chat.completion",
            "created": 0,
            "model": body.get("model", "test-model"),
            "choices": [
                {"index": index, "message": message, "finish_reason": "stop"}
                for index, message in enumerate(messages)
            ],
            "usage": {
                "prompt_tokens": 100,
                "completion_tokens": out,
                "total_tokens": 100 + out,
            },
        }
    )


class OpenAIServer:
    """The server; a context manager. requests: all that came in, in the order of arrival."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self.requests: list[Request] = []
        self._behaviours = behaviours or (teach(),)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def base_url(self) -> str:
        """The address for `--base-url`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _reply_to(self, request: Request) -> Reply | None:
        """The reply, after its delay; None when the server stops in the meantime."""
        with self._lock:
            turn = min(len(self.requests), len(self._behaviours) - 1)
            self.requests.append(request)
        reply = self._behaviours[turn](request.body)
        return None if self._stopped.wait(reply.delay_s) else reply

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16
            """Unbuffered writes would cost a delayed acknowledgement each."""

            def do_POST(self) -> None:  # the base class's name
                """Answers one request."""
                length = int(self.headers.get("Content-Length", 0))
                body = json.loads(self.rfile.read(length))
                headers = {name.lower(): value for name, value in self.headers.items()}
                reply = server._reply_to(Request(self.path, headers, body))
                if reply is None or reply.status == 0:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                self.send_header("Content-Length", str(reply.blanks + len(reply.content)))
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                content = reply.content[: reply.cut]
                slow = reply.blanks + (len(content) if reply.drips else 0)
                for position in range(slow):
                    self.wfile.write((b" " * reply.blanks + content)[position : position + 1])
                    self.wfile.flush()
                    if server._stopped.wait(0.05):
                        return
                self.wfile.write(b"" if reply.drips else content)
                self.close_connection = reply.cut is not None

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

        return Handler


def _as_sent(generation: object) -> Body:
    """An offline teacher's answer in the protocol's form."""
    assert isinstance(generation, ChatGeneration)
    assert isinstance(generation.message, AIMessage)
    calls = [(call["name"], call["args"]) for call in generation.message.tool_calls]
    if calls:
        return tool_message(*calls)
    return {"role": "assistant", "content": str(generation.message.text)}


def leaking(then: Behaviour, key: str) -> Behaviour:
    """Errors that hold a key, in one answer of two; the others hold it beside a plan."""
    turns = iter(range(10_000))

    def answer(body: Body) -> Reply:
        if next(turns) % 2 == 0:
            return status(429, f"Slow down, {key}; Authorization: Bearer {key}")(body)
        reply = then(body)
        assert isinstance(reply.body, dict)
        for choice in reply.body["choices"]:
            choice["message"]["content"] = f"Your key is {key}."
        return reply

    return answer


def repeating(then: Behaviour, *forms: str) -> Behaviour:
    """Says all of this beside every plan, and in place of the plans of every other answer."""

    def answer(body: Body) -> Reply:
        reply = then(body)
        assert isinstance(reply.body, dict)
        for place, choice in enumerate(reply.body["choices"]):
            message = choice["message"]
            message["content"] = f"You sent {'; '.join(forms)}."
            if place % 2:
                message["tool_calls"] = tool_message(*((form, {}) for form in forms))["tool_calls"]
        return reply

    return answer
