"""Where a request goes, and what stops it: redirects, certificates, proxies, addresses."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tutelage.agents.client.errors import in_one_line, name_failure
from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.providers.make import ProviderError, make_chat_model
from tutelage.graphs.config.config import ConfigError, make_config

KEY = "opensesame-0123456789-abcdef"
PROVIDERS = ("openai:m", "anthropic:claude-x", "google_genai:gemini-x", "ollama:llama-x")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key for each, and no proxy or address of whoever runs the tests."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("OPENAI", "ANTHROPIC", "GOOGLE"):
        monkeypatch.setenv(f"{name}_API_KEY", KEY)
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


class Server(ThreadingHTTPServer):
    """Answers every request with a status and a location; notes the headers of what comes in."""

    daemon_threads = True

    def __init__(self, status: int, location: str) -> None:
        self.seen: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the base class's name
                """Says where to go."""
                server.seen.append(f"{self.path} {self.headers}")
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(status)
                self.send_header("Location", location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET, do_CONNECT = do_POST, do_POST  # noqa: N815  # as above

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])


@contextmanager
def serving(status: int = 404, location: str = "") -> Iterator[Server]:
    server = Server(status, location)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def said(provider: str, url: str | None, timeout_s: float = 5.0) -> tuple[str, str]:
    """The name of what a request ends with, and the line about it."""
    model = make_chat_model(provider, url, TeacherSettings(timeout_s=timeout_s)).model
    with pytest.raises(Exception) as caught:  # noqa: PT011  # every package raises its own
        model.invoke("hello")
    return name_failure(caught.value), in_one_line(caught.value, model)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_provider_is_led_to_another_origin(provider: str, status: int, host: str) -> None:
    with (
        serving() as other,
        serving(status, f"http://{host}:{other.port}/v1/x?key={KEY}") as first,
    ):
        name, line = said(provider, f"http://127.0.0.1:{first.port}/v1")
    assert len(first.seen) == 1
    assert other.seen == []
    assert name == "not_found"
    assert f"redirects to another server, http://{host}:{other.port}/v1/x, and no key" in line
    assert KEY not in line


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_redirect_within_a_server_is_followed(provider: str) -> None:
    with serving(307, "/v2/elsewhere") as server:
        said(provider, f"http://127.0.0.1:{server.port}/v1")
    assert any("/v2/elsewhere" in request for request in server.seen[1:])


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
@pytest.mark.slow
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_self_signed_certificate_is_named(provider: str, tmp_path: Path) -> None:
    pem = tmp_path / "both.pem"
    made = f"-keyout {pem} -out {tmp_path / 'cert.pem'} -subj /CN=localhost -days 1 -nodes"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", *made.split()],
        check=True,
        capture_output=True,
    )
    pem.write_text(pem.read_text() + (tmp_path / "cert.pem").read_text())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with serving() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        name, line = said(provider, f"https://localhost:{server.port}/v1")
    assert name == "provider_down"
    assert "certificate is not trusted (self-signed certificate); SSL_CERT_FILE" in line


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_refused_connection_says_so(provider: str) -> None:
    with serving() as server:
        port = server.port
    assert "Connection refused" in said(provider, f"http://127.0.0.1:{port}/v1")[1]


def test_a_proxy_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(403) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:swordfish22@127.0.0.1:{proxy.port}")
        name, line = said("openai:m", "https://teacher.example/v1", timeout_s=4.0)
    assert name == "provider_down"
    assert "the proxy refuses (HTTPS_PROXY" in line
    assert "403" in line
    assert "swordfish22" not in line


@pytest.mark.parametrize("provider", ["openai:m", "ollama:llama-x"])
@pytest.mark.parametrize(
    "answers", [(b"\x05\xff",), (b"\x05\x02", b"\x01\x01"), (b"HTTP/1.1 400 Bad Request\r\n\r\n",)]
)
def test_a_socks_proxy_that_refuses_is_named(
    provider: str, answers: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No method that it takes, a wrong password, and no SOCKS proxy at all."""
    pytest.importorskip("socksio")

    def talk(proxy: socket.socket) -> None:
        connection, _ = proxy.accept()
        with connection:
            for answer in answers:
                connection.recv(1000)
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as proxy:
        thread = threading.Thread(target=talk, args=(proxy,))
        thread.start()
        port = proxy.getsockname()[1]
        monkeypatch.setenv("ALL_PROXY", f"socks5://me:swordfish22@127.0.0.1:{port}")
        # A timeout of its own: packages share clients between models of the same settings.
        name, line = said(provider, "http://teacher.example/v1", timeout_s=4.0 + port / 1e6)
        thread.join()
    assert name == "provider_down"
    assert "the proxy refuses (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY in the environment)" in line
    assert "swordfish22" not in line


def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as proxy:
        port = proxy.port
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    line = said("openai:m", "https://teacher.example/v1", timeout_s=4.5)[1]
    assert "refused (by way of HTTPS_PROXY" in line


def test_a_key_with_letters_that_no_header_holds_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that a teacher of somebody's own brings along: the environment's are looked at before."""
    (tmp_path / "umlaut_teacher.py").write_text(
        "from langchain_openai import ChatOpenAI\n\n\n"
        "def make(settings):\n"
        f"    return ChatOpenAI(model='m', api_key='schlüssel-{KEY}', max_retries=0,\n"
        "        base_url='http://127.0.0.1:9/v1')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    name, line = said("umlaut_teacher:make", None)
    assert name == "refused"
    assert "the key, or another header, holds a letter that no request can carry" in line
    assert KEY not in line


class TestPasswords:
    URLS = (
        "http://me:pa/ss@host/v1",
        "http://me:pa?ss@host/v1",
        "http://me:pa#ss@host/v1",
        "https://me/name:passss@host/v1",
    )

    @pytest.mark.parametrize("url", URLS)
    @pytest.mark.parametrize(
        ("variable", "provider"),
        [
            ("OPENAI_BASE_URL", "openai:m"),
            ("OPENAI_API_BASE", "openai:m"),
            ("ANTHROPIC_BASE_URL", "anthropic:m"),
            ("OLLAMA_HOST", "ollama:m"),
        ],
    )
    def test_none_of_an_address_in_the_environment_is_shown(
        self, url: str, variable: str, provider: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(variable, url)
        with pytest.raises(ProviderError, match=f"^the address in {variable} has an @") as caught:
            make_chat_model(provider, None, TeacherSettings())
        assert "pa" not in str(caught.value).replace("password", "").replace("path", "")

    @pytest.mark.parametrize("url", [*URLS, "http://me:pass@[host/v1"])
    def test_none_may_be_typed(self, url: str) -> None:
        say: list[Callable[[], object]] = [
            lambda: make_config(None, [], {"base_url": url, "provider": "openai:m"}),
            lambda: make_config(None, [f"teacher.fallback=openai:m@{url}"], {}),
        ]
        for refused in say:
            with pytest.raises(ConfigError, match="must hold no user name, password") as caught:
                refused()
            assert "host" not in str(caught.value)
