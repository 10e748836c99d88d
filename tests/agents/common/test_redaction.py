"""A secret is found in whatever form a server sends it back, and harmless texts are left alone."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tutelage.agents.common.redact import json_writer, redact, value_redactor

KEY = "opensesame-0123456789+abcdef/GHIJ"
"""Of no shape that is known for a key."""


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda key: key,
    "small letters": str.lower,
    "hex": lambda key: key.encode().hex(),
    "hex, capitals": lambda key: key.encode().hex().upper(),
    "hex, colons": lambda key: key.encode().hex(":"),
    "hex, 0x": lambda key: ", ".join(f"0x{sign:02x}" for sign in key.encode()),
    "hex, a program's": lambda key: "".join(f"\\x{sign:02x}" for sign in key.encode()),
    "JSON's": lambda key: "".join(f"\\u00{sign:02x}" for sign in key.encode()),
    "HTML's": lambda key: "".join(f"&#{sign};" for sign in key.encode()),
    "percent": lambda key: quote(key, safe=""),
    "percent, all of it": lambda key: "".join(f"%{sign:02X}" for sign in key.encode()),
    "percent, some of it": lambda key: key.replace("e", "%65"),
    "base64": b64,
    "base64 of the header": lambda key: b64(f"Bearer {key}"),
    "base64 of another header": lambda key: b64(f"Authorization: Bearer {key}\r\n"),
    "base64 for URLs": lambda key: base64.urlsafe_b64encode(f"x{key}y".encode()).decode(),
    "base64 in lines": lambda key: base64.encodebytes(f"{'-' * 40}{key}".encode()).decode(),
    "blanks": " ".join,
    "dashes": "-".join,
    "lines": "\n".join,
    "zero width": "\u200b".join,
    "two halves": lambda key: f"first {key[:16]} and then {key[16:]}",
    "three parts": lambda key: f"{key[:11]} | then | {key[11:22]} | then | {key[22:]}",
}


def parts_of(key: str, size: int = 6) -> set[str]:
    """All of its parts of so many signs."""
    return {key[begin : begin + size] for begin in range(len(key) - size + 1)}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_found(form: str) -> None:
    said = f"You sent {FORMS[form](KEY)} to us."
    shown = redact(said)
    assert "[redacted]" in shown
    assert shown.startswith("You sent ")
    for secret in (KEY, KEY.encode().hex(), b64(KEY), b64(f"x{KEY}"), b64(f"xx{KEY}")):
        assert not {part for part in parts_of(secret, 8) if part in shown}


@pytest.mark.parametrize(
    "value",
    [
        [KEY[:10], KEY[10:20], KEY[20:]],
        [{"token": KEY[at : at + 3], "id": f"call_{at}"} for at in range(0, len(KEY), 3)],
        {"content": f"It is {KEY[:17]}", "n": 1, "refusal": f"{KEY[17:]}, I think"},
        [[b64(KEY)[:20]], [b64(KEY)[20:]]],
        {"a": {KEY: 1}, "b": (KEY,)},
        [
            {"token": KEY[at : at + 3], "bytes": [*KEY[at : at + 3].encode()]}
            for at in range(0, 33, 3)
        ],
    ],
    ids=["list", "rows", "fields", "base64", "names", "tokens"],
)
def test_no_parts_are_left_that_make_it_up_together(value: object) -> None:
    written = json_writer()(value)
    assert "[redacted]" in written
    assert not re.search(r"\[\d", written), "nor as bytes"
    together = "".join(sign for sign in written if sign.isalnum())
    for secret in (KEY, b64(KEY)):
        plain = "".join(sign for sign in secret if sign.isalnum())
        assert not {part for part in parts_of(plain, 8) if part in together}


def test_what_holds_no_secret_is_left_as_it_was() -> None:
    value = {
        "text": "go_to(red key); open the sesame box 0123456789",
        "plans": [["pick_up(red key)", None, 0.5], [True, 7, ""]],
        "hex": "deadbeef" * 20,
        "bytes": [[111, 112], [255, 0], [256, -1]],
        "base64": b64("nothing of that kind is in here, not at all"),
    }
    assert value_redactor()(value) == value
    assert json.loads(json_writer()(value)) == value


@pytest.mark.parametrize("short", ["change-me", "local-key"])
def test_a_short_one_is_looked_for_as_it_is_alone(
    short: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", short)
    assert redact(f"the key {short}") == "the key [redacted]"
    assert redact("change me, a local key") == "change me, a local key"


def test_a_path_that_is_called_a_key_does_not_hide_its_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSH_KEY", "/home/somebody/projects/keys/id_rsa")
    assert redact("/home/somebody/projects/runs") == "/home/somebody/projects/runs"


@pytest.mark.parametrize(
    "url", ["https://me:sw/ord+fish22@host/v1", "http://me:sw%2Ford%2Bfish22@h"]
)
def test_the_password_of_an_address_is_a_secret(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    assert redact("you are me with sw/ord+fish22.") == "you are me with [redacted]."
