"""What the environment says to a provider: keys with white space, proxies, broken packages."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.providers.catalogue import keys_at_hand, list_providers
from tutelage.agents.providers.certificates import CertificateError
from tutelage.agents.providers.keys import KeyFileError, UnusableKeyError, load_keys
from tutelage.agents.providers.make import ProviderError, make_chat_model
from tutelage.agents.providers.proxies import ProxyError, check_proxies

KEY = "sk-0123456789abcdef"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no key of whoever runs the tests."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def make(provider: str = "openai:gpt-x") -> None:
    make_chat_model(provider, None, TeacherSettings())


class TestKeys:
    @pytest.mark.parametrize("around", ["{}\n", " {}", "\t{}\r\n"])
    def test_white_space_around_one_is_taken_off(
        self, around: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", around.format(KEY))
        make()
        assert os.environ["OPENAI_API_KEY"] == KEY

    @pytest.mark.parametrize("value", ["", " ", "\n"])
    def test_an_empty_one_is_none(self, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", value)
        openai = next(row for row in list_providers() if row.name == "openai:MODEL")
        assert not openai.key_present
        assert keys_at_hand("openai:gpt-x") == ()
        with pytest.raises(ProviderError, match="needs a key in the environment variable"):
            make()

    @pytest.mark.parametrize(
        ("value", "says"),
        [
            (f"{KEY}\n{KEY}", "more than one word"),
            (f"Bearer {KEY}", "more than one word"),
            (f"“{KEY}”", "signs that no request can carry"),
            (f"{KEY}\x07", "signs that no request can carry"),
        ],
    )
    def test_one_that_no_header_can_carry_is_refused_and_not_repeated(
        self, value: str, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", value)
        with pytest.raises(UnusableKeyError, match=f"OPENAI_API_KEY.*{says}") as caught:
            make()
        assert KEY not in str(caught.value)
        file = tmp_path / "keys.toml"
        file.write_text('OPENAI_API_KEY = """' + value.replace("\x07", "\\u0007") + '"""')
        file.chmod(0o600)
        with pytest.raises(KeyFileError, match=says):
            load_keys(file)

    def test_a_key_file_may_begin_with_a_byte_order_mark(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("OPENAI_API_KEY")
        file = tmp_path / "keys.toml"
        for encoding in ("utf-8-sig", "utf-16"):
            file.write_text(f'OPENAI_API_KEY = "{KEY}"\n', encoding=encoding)
            file.chmod(0o600)
            if encoding == "utf-8-sig":
                assert load_keys(file) == ("OPENAI_API_KEY",)
                assert os.environ["OPENAI_API_KEY"] == KEY
            else:
                with pytest.raises(KeyFileError, match="UTF-16"):
                    load_keys(file)


class TestProxies:
    @pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "HTTPS_PROXY"])
    @pytest.mark.parametrize("provider", ["openai:gpt-x", "anthropic:claude-x"])
    def test_socks_without_its_package(
        self, name: str, provider: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "socksio", None)
        monkeypatch.setattr("importlib.util.find_spec", lambda name: name != "socksio" or None)
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        monkeypatch.setenv(name, "socks5://me:secret@localhost:1080")
        with pytest.raises(ProxyError, match=f"^{name} = .*pip install socksio") as caught:
            make(provider)
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize(
        ("address", "says"),
        [
            ("socks4://localhost:1", "socks4://.*allowed: http://, https://, socks5://"),
            ("http://local:host:1", "not the address of a proxy"),
            ("http://[::1", "not the address of a proxy"),
            ("http://", "not the address of a proxy"),
            ("http://pröxy:3128", "not the address of a proxy"),
        ],
    )
    def test_bad_addresses(self, address: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", address)
        with pytest.raises(ProxyError, match=f"^HTTPS_PROXY .*{says}"):
            make()
        monkeypatch.setenv("NO_PROXY", "localhost, *")
        check_proxies()

    @pytest.mark.parametrize("address", ["http://proxy:3128", "proxy:3128", "https://u:p@h"])
    def test_good_ones_pass(self, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", address)
        make()


class TestCertificates:
    @pytest.mark.parametrize("provider", ["openai:gpt-x", "anthropic:claude-x"])
    def test_a_file_that_does_not_do_is_named(
        self, provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        file = tmp_path / "authorities.pem"
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        with pytest.raises(CertificateError, match=f"^SSL_CERT_FILE = {file}: No such file"):
            make(provider)
        file.write_text("not a certificate")
        with pytest.raises(CertificateError, match=f"^SSL_CERT_FILE = {file}: holds no cert"):
            make(provider)

    def test_a_folder_that_is_not_there_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSL_CERT_DIR", "/nowhere")
        with pytest.raises(CertificateError, match=r"^SSL_CERT_DIR = /nowhere: no such folder"):
            make()
        monkeypatch.setenv("SSL_CERT_DIR", "/nowhere:/")
        make()


class TestPackages:
    def test_a_missing_one_is_named_as_it_is_called(self) -> None:
        with pytest.raises(ProviderError, match="needs the package langchain-aws: pip install"):
            make("bedrock:some-model")

    def test_one_that_breaks_while_it_is_imported_says_why(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        package = tmp_path / "langchain_perplexity.py"
        package.write_text("raise ImportError('libssl.so.3: cannot open shared object file')")
        monkeypatch.syspath_prepend(str(tmp_path))
        with pytest.raises(ProviderError, match=r"cannot be loaded: ImportError: libssl\.so\.3"):
            make("perplexity:sonar")
