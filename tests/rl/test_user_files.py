"""Where the user's files and the caches lie, and how texts are read."""

from __future__ import annotations

import codecs
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tutelage.rl import user_files
from tutelage.rl.user_files import (
    NotUtf8Error,
    cache_folder,
    can_be_written,
    config_folder,
    decoded,
    temporary_folder,
)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The system's temporary folder, for as long as a test runs."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    forget()
    yield folder
    forget()


def forget() -> None:
    temporary_folder.cache_clear()
    user_files.say_once.cache_clear()


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A home, and folders of settings, where nobody can put anything, not even root."""
    nothing = tmp_path / "file"
    nothing.touch()
    monkeypatch.setenv("HOME", str(nothing))
    for kind in ("CACHE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(nothing / kind))


class TestFolders:
    def test_are_the_users_own_where_they_can_be_made(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "s"))
        assert cache_folder() == tmp_path / "c" / "tutelage"
        assert config_folder() == tmp_path / "s" / "tutelage"
        assert sorted(p.name for p in tmp_path.iterdir()) == ["tmp"], "asking makes nothing"
        assert capsys.readouterr().err == ""

    @pytest.mark.usefixtures("homeless")
    def test_are_temporary_where_nothing_can_be_written_and_that_is_said_once(
        self, temporary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cache_folder() == cache_folder() == temporary_folder()
        assert config_folder() == temporary_folder() / "config"
        assert temporary_folder().parent == temporary
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{tmp_path / 'file' / 'CACHE' / 'tutelage'} cannot be written" in line
        assert str(temporary_folder()) in line
        assert "XDG_CACHE_HOME" in line

    def test_no_folder_of_the_name_of_a_home_is_made(
        self, temporary: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """What platformdirs does where nobody knows whose home it is: raise, or leave the `~`."""

        def raises(_name: str) -> Path:
            raise RuntimeError("could not determine the home directory")

        monkeypatch.chdir(tmp_path)
        for find in (raises, lambda name: Path("~/.cache") / name):
            monkeypatch.setattr(user_files, "user_cache_path", find)
            monkeypatch.setattr(user_files, "user_config_path", find)
            assert cache_folder().parent == temporary
            assert config_folder().parent.parent == temporary
        assert not (tmp_path / "~").exists()

    def test_what_is_a_file_on_the_way_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert not can_be_written(tmp_path / "file" / "in" / "it")
        assert can_be_written(tmp_path / "in" / "it")


@pytest.mark.skipif(os.name != "posix", reason="rights are POSIX's")
class TestTheTemporaryFolder:
    def test_is_the_users_alone_and_found_again(self, temporary: Path) -> None:
        folder = temporary_folder()
        status = folder.stat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o700, os.getuid())
        forget()
        assert temporary_folder() == folder
        assert list(temporary.iterdir()) == [folder]

    @pytest.mark.parametrize("trap", ["a link", "open to others", "a file", "somebody else's"])
    def test_what_somebody_else_put_there_is_not_used(
        self, trap: str, temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        there = temporary / f"tutelage-{os.getuid()}"
        if trap == "a link":
            (tmp_path / "trap").mkdir(mode=0o700)
            there.symlink_to(tmp_path / "trap")
        elif trap == "open to others":
            there.mkdir()
            there.chmod(0o777)
        elif trap == "a file":
            there.touch(mode=0o600)
        else:
            there.mkdir(mode=0o700)
            uid = os.getuid()
            monkeypatch.setattr(os, "getuid", lambda: uid + 1)
            there.rename(temporary / f"tutelage-{uid + 1}")
        folder = temporary_folder()
        assert folder != there
        assert folder.parent == temporary
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert not (tmp_path / "trap").exists() or not list((tmp_path / "trap").iterdir())


class TestTexts:
    @pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
    def test_a_mark_of_utf8_is_no_part_of_it(self, mark: bytes) -> None:
        assert decoded(mark + "ä\r\nb\rc\n".encode()) == "ä\nb\nc\n"

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
    def test_others_of_unicode_are_named(self, encoding: str) -> None:
        named = "UTF-32" if encoding == "utf-32" else "UTF-16"
        with pytest.raises(NotUtf8Error, match=f"{named}; save it as UTF-8") as caught:
            decoded("steps = 1\n".encode(encoding))
        assert caught.value.line == 1

    def test_else_the_line_is_told(self) -> None:
        with pytest.raises(NotUtf8Error, match="no UTF-8; save it as UTF-8") as caught:
            decoded("a\nb\nä".encode("latin-1"))
        assert (caught.value.line, caught.value.byte) == (3, 0xE4)
