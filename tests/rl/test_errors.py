"""Errors that people can mend, and texts for their messages."""

from __future__ import annotations

from tutelage.rl.errors import text_of


def test_an_error_that_cannot_be_put_into_words_has_its_type() -> None:
    class Silent:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert text_of(KeyError(Silent())) == "a KeyError that cannot be put into words"
    assert text_of(ValueError("said")) == "said"
