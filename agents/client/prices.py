"""The prices of models' tokens: a dated table that is shipped, and the user's own on top of it.

A price that neither table holds is not known: it is None, and never a guess.
"""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationError

from tutelage.agents.client.numbers import finite
from tutelage.rl.errors import UserError
from tutelage.rl.user_files import NotUtf8Error, config_folder, decoded, read_plain

SHIPPED: Final = Path(__file__).with_name("prices.toml")


class PriceFileError(UserError):
    """A file of prices that cannot be used. The message is one line."""


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens, in and out, and where the figures come from."""

    input_usd: float
    output_usd: float
    source: str

    def cost(self, prompt_tokens: int | None, completion_tokens: int | None) -> float | None:
        """The cost of tokens, in US dollars.

        None where their number is not known, unless any number would cost nothing.
        """
        if self.input_usd == self.output_usd == 0.0:
            return 0.0
        if prompt_tokens is None or completion_tokens is None:
            return None
        return finite((self.input_usd * prompt_tokens + self.output_usd * completion_tokens) / 1e6)


FREE: Final = Price(0.0, 0.0, "asks nobody who charges")


@dataclass(frozen=True)
class ListedPrice:
    """A row of the tables. file: where it is. checked: when, None where the file has no date."""

    provider: str
    model: str
    price: Price
    file: Path
    checked: datetime.date | None


class _Tokens(BaseModel, extra="forbid"):
    input: float = Field(ge=0.0, allow_inf_nan=False)
    output: float = Field(ge=0.0, allow_inf_nan=False)


class _Provider(BaseModel, extra="forbid"):
    host: str | None = None
    page: str | None = None
    models: dict[str, _Tokens] = {}


class _Table(BaseModel, extra="allow"):
    """A file of prices: its head, and a section for each provider."""

    __pydantic_extra__: dict[str, _Provider] = Field(init=False)
    date: datetime.date | None = None
    source: str | None = None


def own_file() -> Path:
    """Where the user's own prices are, if there are any."""
    return config_folder() / "prices.toml"


def list_prices() -> list[ListedPrice]:
    """All prices that are known; the user's replace those that are shipped.

    Raises PriceFileError.
    """
    return list({(row.provider, row.model): row for row in _rows(_tables())}.values())


def find_price(provider: str, model: str, address: str | None = None) -> Price | None:
    """The price of a provider's model; None where it is not known. Raises PriceFileError.

    address: where requests go; None for the provider's own. A server of one's own that speaks a
    provider's protocol does not charge that provider's prices.
    """
    tables = _tables()
    sections = [found for t in tables.values() if (found := t.__pydantic_extra__.get(provider))]
    hosts = [section.host for section in sections if section.host is not None]
    if address is not None and hosts and urlsplit(address).hostname != hosts[-1]:
        return None
    prices = {(row.provider, row.model): row.price for row in _rows(tables)}
    return prices.get((provider, model))


def _tables() -> dict[Path, _Table]:
    """The shipped table, then the user's."""
    own = own_file()
    return {path: _read(path) for path in ([SHIPPED, own] if own.exists() else [SHIPPED])}


def _rows(tables: Mapping[Path, _Table]) -> Iterator[ListedPrice]:
    for path, table in tables.items():
        where = f"{path}, {table.date}" if table.date else str(path)
        for provider, section in table.__pydantic_extra__.items():
            for model, tokens in section.models.items():
                price = Price(tokens.input, tokens.output, where)
                yield ListedPrice(provider, model, price, path, table.date)


def _read(path: Path) -> _Table:
    try:
        values = tomllib.loads(decoded(read_plain(path)))
    except OSError as error:
        raise PriceFileError(f"prices {path} cannot be read: {error.strerror}") from error
    except NotUtf8Error as error:
        raise PriceFileError(f"prices {path}, line {error.line}: {error}") from error
    except ValueError as error:
        raise PriceFileError(f"prices {path}: not valid TOML: {error}") from error
    try:
        return _Table.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise PriceFileError(f"prices {path}: {place}: {problem['msg']}") from None
