"""How the teacher is asked: the settings of everything in `agents`, each declared once."""

from __future__ import annotations

import re
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from tutelage.rl.errors import did_you_mean

OFFLINE: Final = "offline"
"""The provider that is a script."""

CACHED_ADVICE: Final = "cached"
"""In a list of fallbacks: the last advice of any model on the same situation."""

_PLAN_TOKENS: Final = 512
"""A plan takes some 50, and a model that explains itself first some 300. An answer without end
should end before the time limit on a small machine, which brings 10 to 20 in a second."""
_THINKING_TOKENS: Final = 8192

SECRET: Final = "secret"
"""The kind of a problem whose value must not be repeated."""


def provider_and_address(step: str) -> tuple[str, str | None]:
    """Splits `PROVIDER:MODEL@BASE_URL`; the address is None where there is none."""
    name, at, url = step.partition("@http")
    return (name, f"http{url}") if at else (step, None)


class TeacherSettings(BaseModel):
    """How often, how patiently and at what cost the teacher is asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    samples: int = Field(
        5, ge=1, le=64, description="Answers drawn from the teacher in each situation (k)."
    )
    soft: bool = Field(
        True,
        description="Let all samples reach the student; false keeps the likeliest plan only.",
    )
    uncertainty: Literal["samples", "logprobs"] = Field(
        "samples",
        description="Where the shares of the plans come from: counted samples, or the "
        "probabilities that the server gives for each option, where it gives them.",
    )
    temperature: float | None = Field(
        1.0,
        ge=0.0,
        le=2.0,
        description="Sampling temperature of the teacher; 0 asks for its likeliest answer, none "
        "sends no temperature.",
    )
    seed: int = Field(
        0, ge=0, lt=2**31, description="Seed of the teacher's samples, where the provider has one."
    )
    max_options: int = Field(5, ge=1, le=32, description="The most options that a plan may have.")
    thinking: bool = Field(
        False,
        description="Tell the teacher to think in words before it calls tools; the words are "
        "never read as an answer.",
    )
    max_tokens: int | None = Field(
        None,
        ge=1,
        le=2**20,
        description="Tokens at which an answer is cut, thoughts included; none for 512, or 8,192 "
        "with thinking on and for a model that is seen to think.",
    )
    lookups: tuple[str, ...] = Field(
        (),
        description="What the teacher may look up before it decides, by name and with commas "
        "between: objects, inventory, record; empty for nothing.",
    )
    max_lookup_rounds: int = Field(
        3, ge=1, le=10, description="Rounds of look-ups after which the teacher must decide."
    )
    timeout_s: float = Field(
        60.0, gt=0.0, le=3600.0, description="Seconds after which a request is given up."
    )
    max_tries: int = Field(
        3, ge=1, le=20, description="How often a situation is tried before it counts as failed."
    )
    backoff_s: float = Field(
        1.0,
        ge=0.0,
        le=60.0,
        description="Seconds before the second try; the pause doubles with each further one.",
    )
    concurrency: int = Field(
        8, ge=1, le=128, description="Requests that are under way at the same time."
    )
    pause_s: float = Field(
        600.0,
        ge=0.0,
        le=86400.0,
        description="Seconds for which training pauses, in all of a run, while the teacher is "
        "asked and has said nothing of use yet; 0 for never.",
    )
    patience_s: float = Field(
        30.0,
        ge=0.0,
        le=3600.0,
        description="Seconds for which learning waits, after the first answer of use, for the "
        "others that were asked for with it, when it may not wait for all.",
    )
    requests_per_second: float | None = Field(
        None,
        gt=0.0,
        le=1000.0,
        description="The most requests to one provider in a second; none for no limit.",
    )
    fallback: tuple[str, ...] = Field(
        (),
        description="Who advises where the teacher could not, in this order and with commas "
        "between: PROVIDER:MODEL or PROVIDER:MODEL@BASE_URL for a second model, cached for what "
        "another model or prompt has said of the same situation, offline for the script; none "
        "for nobody.",
    )
    keep_going: bool = Field(
        False,
        description="Learn without a teacher where the provider refuses before it has answered "
        "anything: a wrong key, no credit, no such model; false ends the run then, to be resumed.",
    )
    budget_calls: int | None = Field(
        None,
        ge=0,
        le=2**53,
        description="The most requests that a run may make; none for no limit.",
    )
    budget_tokens: int | None = Field(
        None,
        ge=0,
        le=2**53,
        description="Tokens, in and out, after which no request is made; none for no limit.",
    )
    budget_usd: float | None = Field(
        None,
        ge=0.0,
        le=1e12,
        description="US dollars after which no request is made; needs a known price (`providers "
        "prices`). None for no limit.",
    )
    calls_without_budget: int | None = Field(
        500,
        ge=0,
        le=2**53,
        description="The most requests that a run may make to an LLM where none of the budgets is "
        "set; none for no limit. Scripts, recordings and people may always be asked.",
    )
    usd_per_million_prompt_tokens: float | None = Field(
        None,
        ge=0.0,
        le=1e12,
        description="US dollars for a million tokens that go in; none takes what `providers "
        "prices` says.",
    )
    usd_per_million_completion_tokens: float | None = Field(
        None,
        ge=0.0,
        le=1e12,
        description="US dollars for a million tokens that come out; none as above.",
    )

    def token_limit(self, thinks: bool) -> int:
        """The most tokens of one answer. thinks: the model was seen to think before it answers."""
        if self.max_tokens is not None:
            return self.max_tokens
        return _THINKING_TOKENS if thinks or self.thinking else _PLAN_TOKENS

    @property
    def has_budget(self) -> bool:
        """Whether somebody has set a limit to what a run may ask."""
        limits = (self.budget_calls, self.budget_tokens, self.budget_usd)
        return limits != (None, None, None)

    @property
    def default_bound(self) -> int | None:
        """The most requests to an LLM where nobody has set a limit; None for none."""
        return None if self.has_budget else self.calls_without_budget

    def calls_of(self, bounded: bool) -> int | None:
        """The most requests of a run; None for no limit. bounded: whether an LLM is asked."""
        return self.default_bound if self.budget_calls is None and bounded else self.budget_calls

    @field_validator("lookups", mode="before")
    @classmethod
    def _listed(cls, names: Any) -> Any:
        """Names in one text, as on the command line, become a list; a second mention is none."""
        if isinstance(names, str):
            names = [name.strip() for name in names.split(",") if name.strip()]
        if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
            return tuple(dict.fromkeys(names))
        return names

    @field_validator("fallback", mode="before")
    @classmethod
    def _without_none(cls, steps: Any) -> Any:
        """`none` stands for an empty list, or for the end of the list."""
        if steps is None:
            return ()
        steps = cls._listed(steps)
        return steps[:-1] if isinstance(steps, tuple) and steps[-1:] == ("none",) else steps

    @field_validator("fallback")
    @classmethod
    def _checked(cls, steps: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the right form; whether there is such a provider shows when it is made."""
        for step in steps:
            name, url = provider_and_address(step)
            if name not in (OFFLINE, CACHED_ADVICE) and ":" not in name:
                hint = did_you_mean(step, (OFFLINE, CACHED_ADVICE))
                raise ValueError(
                    f"{step!r} cannot stand in{hint}; allowed: {OFFLINE}, {CACHED_ADVICE}, "
                    "PROVIDER:MODEL, PROVIDER:MODEL@BASE_URL, or none at the end"
                )
            if re.search(r"[@?]", url or ""):
                raise PydanticCustomError(
                    SECRET, "must hold no user name, password or query in an address"
                )
        return steps

    @model_validator(mode="after")
    def _priced(self) -> Self:
        """One price without the other is none."""
        prices = (self.usd_per_million_prompt_tokens, self.usd_per_million_completion_tokens)
        if prices.count(None) == 1:
            raise ValueError(
                "usd_per_million_prompt_tokens and usd_per_million_completion_tokens go together"
            )
        return self
