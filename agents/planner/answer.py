"""The result of asking about one situation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tutelage.agents.client.call_record import Exchange
from tutelage.agents.client.errors import FailureName
from tutelage.agents.client.parameters import Parameter
from tutelage.agents.client.request_modes import OutputMode
from tutelage.rl.advice.advice import Advice


@dataclass(frozen=True)
class PlannerAnswer:
    """The advice on one situation, and the requests that brought it.

    source: `model`, `cache`, `replay`, or `fallback:<which>` where another stood in for the model.
    advice: None where no plan came back. failure: why, or why samples are missing; an answer with
    both serves as it is but is not stored in the cache. Neither: nothing was on offer, so nothing
    was asked. calls: the requests; from the cache, those that brought the plans at the time.
    output_mode: in which the model answered. key: the plan cache's, for what it may keep. left_out:
    what its server is not sent any more by then, with the words in which it refused it.
    """

    situation_id: int
    source: str
    advice: Advice | None = None
    calls: tuple[Exchange, ...] = ()
    failure: FailureName | None = None
    output_mode: OutputMode = "required"
    key: str | None = None
    left_out: Mapping[Parameter, str] = field(default_factory=dict)
