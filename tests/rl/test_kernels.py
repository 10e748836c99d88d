"""Kept machine code: it is used again, and where it is damaged it is set aside and made anew."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numba.core.caching import IndexDataCacheFile

from helpers.tiny_runs import cli, tiny_arguments
from tutelage.rl import kernels, user_files


def add(a: int, b: int) -> int:
    return a + b


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of machine code, where that of `add` lies; nothing has been said yet."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))  # numba reads it again where it changed
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(kernels, "_damaged", [])
    user_files.say_once.cache_clear()
    assert anew()(1, 2) == 3
    return tmp_path


def anew() -> Any:
    """The kernel as another process has it."""
    return kernels.njit(cache=True)(add)


def file(folder: Path, suffix: str) -> Path:
    """The index (`nbi`) or the code (`nbc`)."""
    (found,) = folder.rglob(f"*.{suffix}")
    return found


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def zeros(content: bytes) -> bytes:
    """A block that was never written: the pickle is whole, the code is not."""
    at = content.index(b"ELF") + 64
    return content[:at] + bytes(256) + content[at + 256 :]


def flipped(content: bytes) -> bytes:
    at = content.index(b"ELF") + 100
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut": cut,
    "no pickle": lambda content: b"#" * len(content),
    "another's": lambda _: b"\x80\x04\x8c\x06nobody\x8c\x05thing\x93.",
}


def test_what_is_kept_is_used_again(kept: Path, capfd: pytest.CaptureFixture[str]) -> None:
    kernel = anew()
    assert kernel(1, 2) == 3
    assert sum(kernel.stats.cache_hits.values()) == 1
    assert capfd.readouterr().err == ""
    assert not list(kept.rglob("*.damaged"))


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_set_aside(
    kept: Path, suffix: str, damage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = file(kept, suffix)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    check_it_is_made_anew(path, capfd)


@pytest.mark.parametrize("damage", [zeros, flipped])
def test_damage_that_can_be_read_is_seen(
    kept: Path, damage: Callable[[bytes], bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    path = file(kept, "nbc")
    path.write_bytes(damage(path.read_bytes()))
    check_it_is_made_anew(path, capfd)


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
def test_so_is_a_folder_in_the_place_of_a_file(
    kept: Path, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = file(kept, suffix)
    path.unlink()
    path.mkdir()
    check_it_is_made_anew(path, capfd)


def check_it_is_made_anew(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    kernel = anew()
    assert kernel(1, 2) == 3
    assert sum(kernel.stats.cache_hits.values()) == 0
    line = f"tutelage: {path}: machine code is damaged; all such is set aside and compiled again\n"
    assert capfd.readouterr().err == line
    assert path.with_name(f"{path.name}.damaged").exists()
    again = anew()
    assert again(1, 2) == 3
    assert sum(again.stats.cache_hits.values()) == 1
    assert capfd.readouterr().err == ""


def test_a_full_disk_stops_nothing(
    kept: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    file(kept, "nbi").unlink()
    monkeypatch.setattr(IndexDataCacheFile, "_save_data", full)
    assert anew()(1, 2) == 3
    assert "machine code cannot be kept (No space left on device)" in capfd.readouterr().err


@pytest.mark.slow
def test_a_run_goes_on_with_all_its_machine_code_damaged(tmp_path: Path) -> None:
    variables = {"NUMBA_CACHE_DIR": str(tmp_path / "kernels")}
    (tmp_path / "first").mkdir()
    first = cli("run", *tiny_arguments(tmp_path / "first"), variables=variables)
    assert first.returncode == 0, first.stderr
    files = [*(tmp_path / "kernels").rglob("*.nb[ic]")]
    assert files
    for number, path in enumerate(files):
        content = path.read_bytes()
        path.write_bytes(cut(content) if number % 2 else b"")
    (tmp_path / "second").mkdir()
    second = cli("run", *tiny_arguments(tmp_path / "second"), variables=variables)
    assert second.returncode == 0, second.stderr
    assert second.stderr.count(b"machine code is damaged") == 1
