"""Advice from token probabilities: the model names one option by a letter, and all letters count.

The options stand in a list, `A.`, `B.`, ... With p_i the probability that the server gives to
option i's letter as the first token of the answer, and p_0 = 1 - sum p_i for all other tokens, the
share of the plan that consists of option i is, at temperature T,

    p_i^(1/T) / (p_0^(1/T) + sum_j p_j^(1/T))

which at T = 1 is p_i itself, and for T -> 0 goes to the likeliest. Servers give probabilities
before temperature is applied, so it is applied here. What falls to p_0 is no option's: like a
sample that holds no plan it is left out, and the shares then add up to less than 1. Plans of one
option are enough, as the teacher is asked again when the situation changes.
"""

from __future__ import annotations

import math
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import AIMessage

from tutelage.agents.client.errors import UnusableAnswer
from tutelage.agents.client.numbers import finite
from tutelage.rl.advice.advice import Advice
from tutelage.rl.tasks.options import Option

LETTERS: Final = string.ascii_uppercase

_LEAST_SHARE: Final = 1e-3
"""Options of a smaller share are left out."""
_LEAST_CAUGHT: Final = 0.5
"""Where the letters have less than this together, the model was not answering with a letter."""
_MARKS: Final = " \t\r\n\u2581\u0120\u010a"
"""Blanks, and what tokenisers write in their place."""


def question_with_letters(options: Sequence[Option]) -> str:
    """The end of the question: the options, no more than there are letters, with their letters."""
    listed = "\n".join(f"{LETTERS[i]}. {option}" for i, option in enumerate(options))
    return (
        "There are no tools to call. Which option should the agent follow now? Answer with its"
        f" letter alone.\n\n{listed}"
    )


def advice_of(message: AIMessage, options: Sequence[Option], temperature: float | None) -> Advice:
    """The shares that an answer's token probabilities give to the options, likeliest first.

    temperature: None leaves the probabilities as they are.
    Raises UnusableAnswer where the answer brings none, or hardly any to the letters.
    """
    probs = [0.0] * len(options)
    for token, logprob in _first_choices(message):
        letter = token.strip(_MARKS).rstrip(".):")
        place = LETTERS.find(letter) if len(letter) == 1 else -1
        if 0 <= place < len(options):
            probs[place] += math.exp(min(logprob, 0.0))
    caught = sum(probs)
    if caught < _LEAST_CAUGHT:
        raise UnusableAnswer(
            f"the options' letters have probability {caught:.2f} together", shapeless=True
        )
    shares = [*probs, max(0.0, 1.0 - caught)]
    return _ranked(options, _tempered(shares, 1.0 if temperature is None else temperature)[:-1])


def _first_choices(message: AIMessage) -> Iterator[tuple[str, float]]:
    """(token, log probability) of what could have been the first token that is not blank."""
    given = message.response_metadata.get("logprobs")
    content = given.get("content") if isinstance(given, Mapping) else None
    for position in content if isinstance(content, list) else ():
        choices = position.get("top_logprobs") if isinstance(position, Mapping) else None
        if not isinstance(choices, list):
            break
        if str(position.get("token", "")).strip(_MARKS):
            yield from (pair for choice in choices if (pair := _pair(choice)) is not None)
            return
    raise UnusableAnswer("the server gives no token probabilities", shapeless=True)


def _pair(choice: Any) -> tuple[str, float] | None:
    if not isinstance(choice, Mapping):
        return None
    token, logprob = choice.get("token"), finite(choice.get("logprob"))
    return (token, logprob) if isinstance(token, str) and logprob is not None else None


def _tempered(probs: Sequence[float], temperature: float) -> list[float]:
    """Probabilities sharpened or flattened, and normalised; all on the first best at 0."""
    top = max(probs)
    if temperature <= 0.0:
        best = probs.index(top)
        return [float(i == best) for i in range(len(probs))]
    weights = [(p / top) ** (1.0 / temperature) for p in probs]
    total = sum(weights)
    return [weight / total for weight in weights]


def _ranked(options: Sequence[Option], shares: Sequence[float]) -> Advice:
    kept = [(share, option) for share, option in zip(shares, options, strict=True)]
    kept = [(share, option) for share, option in kept if share >= _LEAST_SHARE]
    if not kept:
        raise UnusableAnswer("no option's letter is likely", shapeless=True)
    kept.sort(key=lambda pair: -pair[0])
    total = max(1.0, math.fsum(share for share, _ in kept))
    return Advice(tuple((option,) for _, option in kept), tuple(share / total for share, _ in kept))
