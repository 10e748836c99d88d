"""How many tokens a request may take, before one was made: for what a run may cost."""

from __future__ import annotations

import json
from typing import Final

from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.planner.messages import messages_for, output_modes_of, schemas_for
from tutelage.agents.planner.verbaliser import Question

_CHARACTERS: Final = 4
"""Characters of a token of English prose or JSON, by a common rule of thumb."""
_PLAN: Final = 40
"""Tokens of a plan of two tool calls. What a model thinks in between comes on top of it."""


def estimated_tokens(question: Question, settings: TeacherSettings) -> tuple[int, int]:
    """Tokens in and out of a request for all samples on a question, by the length of its text."""
    output_mode = output_modes_of(question, settings)[0]
    texts = [message.text for message in messages_for(question, output_mode)]
    schemas = json.dumps(schemas_for(question, output_mode, settings.max_options))
    characters = sum(map(len, texts)) + len(schemas)
    return characters // _CHARACTERS, _PLAN * settings.samples
