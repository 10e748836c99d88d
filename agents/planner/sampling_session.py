"""Sampling k plans in one situation: look-ups, samples, unusable answers, the ladder of modes.

Look-ups come first, once; the samples branch only after them. An answer that is no plan goes back
to the model once, with the reason, and then counts as a sample that holds none. One that was cut
does not: the model would go on as long again. A server that rejects a request, or answers in no
form at all, is asked in the next mode down the ladder; so is one that gave no plan in a mode which
has never brought any, an answer that was cut or too late included. What a proven mode does not
bring is the situation's own failure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage

from tutelage.agents.client.call_record import OK, Exchange
from tutelage.agents.client.client import RateLimitedClient, Reply, Request
from tutelage.agents.client.endings import cut_in_words, has_thought, is_cut, is_filtered
from tutelage.agents.client.errors import (
    FailureName,
    UnusableAnswer,
    is_rejection,
    name_failure,
)
from tutelage.agents.client.request_modes import WITH_TOOLS, OutputMode, RequestMode
from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.planner import logprobs
from tutelage.agents.planner.lookups import SharedLookups, is_lookup, looked_up
from tutelage.agents.planner.messages import messages_for, plan_of, quoted, schemas_for, sent_back
from tutelage.agents.planner.option_tools import calls_of
from tutelage.agents.planner.verbaliser import Question
from tutelage.rl.advice.advice import Advice
from tutelage.rl.tasks.options import Plan

_SEED_SPACE: Final = 2**31

_Unusable = tuple[str, str]
"""Why an answer is no plan, and the answer as text."""


class SamplingSession:
    """Asks about one situation, in one thread.

    mode: the first one to try. numbers_samples: the model draws the sample of a given number (the
    offline script). proven: the output modes that have brought plans on other situations. calls:
    the requests so far. worked: the last mode that brought a plan; None before that. brought: the
    output modes that did.
    """

    def __init__(
        self,
        question: Question,
        mode: RequestMode,
        client: RateLimitedClient,
        shared_lookups: SharedLookups,
        settings: TeacherSettings,
        numbers_samples: bool,
        proven: Collection[OutputMode] = (),
    ) -> None:
        self.mode = mode
        self.calls: list[Exchange] = []
        self.worked: RequestMode | None = None
        self.brought: set[OutputMode] = set()
        self._proven_before = proven
        self._question = question
        self._client, self._shared_lookups, self._settings = client, shared_lookups, settings
        self._numbers_samples = numbers_samples
        self._attempt = 0
        self._asked = 0
        self._start_output_mode()

    @property
    def advice(self) -> Advice | None:
        """The advice so far: samples without a plan leave their share out."""
        return self._from_logprobs or _merged(self._samples, self._settings.samples)

    def run(self) -> FailureName | None:
        """One try. Returns why it failed, None where it did not; good samples are kept."""
        self._attempt += 1
        while True:
            while not self._is_done():
                failure = self._step()
                if failure is not None:
                    return failure
            if self.advice is not None:
                return None
            lower = self._lower_rung()
            if lower is None:
                self._samples.clear()
                return self._why
            self._change_to(lower)

    def _lower_rung(self) -> RequestMode | None:
        """The mode to try after one that brought no plan; None where there is no use in another."""
        may_help = not self._has_proved_itself or self._shapeless
        return self.mode.after_nonsense() if may_help and self._why != "filtered" else None

    @property
    def _has_proved_itself(self) -> bool:
        """Whether this output mode has ever brought a plan, here or on another situation."""
        return self._proven or self.mode.output_mode in self._proven_before

    def _start_output_mode(self) -> None:
        """Reset what belongs to one output mode.

        one_by_one: an answer that could not be read has spoilt a request for several. unseen: the
        look-ups that have not been made. proven: this output mode has brought a plan. shapeless:
        an answer had the form of none. lost: more samples of this output mode are of no use. why:
        the failure where no sample holds a plan.
        """
        self._why: FailureName = "unusable_answer"
        self._samples: list[Plan | None] = []
        self._from_logprobs: Advice | None = None
        self._conversation = messages_for(self._question, self.mode.output_mode)
        with_lookups = bool(self._question.lookups) and self.mode.output_mode in WITH_TOOLS
        self._one_by_one = False
        self._unseen = set(self._question.lookups.answers)
        self._rounds_left = self._settings.max_lookup_rounds if with_lookups else 0
        self._proven = self._shapeless = self._lost = False

    def _change_to(self, mode: RequestMode) -> None:
        changed = mode.output_mode != self.mode.output_mode
        self.mode = mode
        if changed:
            self._start_output_mode()

    def _is_done(self) -> bool:
        gathered = len(self._samples) >= self._settings.samples
        return gathered or self._lost or self._from_logprobs is not None

    def _step(self) -> FailureName | None:
        """The next round of requests. Returns a failure that ends the try."""
        if self.mode.output_mode == "logprobs":
            return self._ask_for_probabilities()
        return self._look_up() if self._rounds_left > 0 else self._sample()

    # --- token probabilities ----------------------------------------------------------------------

    def _ask_for_probabilities(self) -> FailureName | None:
        """Ask for one letter. Where that brings no probabilities, the next mode is tried."""
        request = Request(self._conversation, [], self.mode, {}, wanted=1)
        (reply,) = self._client.send([request])
        if reply.unsent or reply.error:
            return self._mend(reply)
        try:
            if not reply.messages:
                raise UnusableAnswer("the answer has no choices", shapeless=True)
            self._from_logprobs = logprobs.advice_of(
                reply.messages[0], self._question.options, self._settings.temperature
            )
        except UnusableAnswer as error:
            self._record(reply, "unusable_answer", str(error))
            self._shapeless = self._lost = True
            return None
        self._record(reply, OK)
        self._note_success()
        return None

    # --- look-ups ---------------------------------------------------------------------------------

    def _look_up(self) -> FailureName | None:
        """One round: the model looks things up, or decides.

        A decision is the first of the samples. An answer that is neither ends the look-ups.
        """
        failure: FailureName | None = None

        def ask() -> AIMessage | None:
            nonlocal failure
            tools = self._schemas()
            sampling = self._sampling(1)
            request = Request(self._conversation, tools, self.mode, sampling, wanted=1)
            (reply,) = self._client.send([request])
            if reply.unsent or reply.error:
                failure = self._mend(reply)
                return None
            return self._lookup_answer(reply)

        answer = self._shared_lookups.answer(self._conversation, self.mode.output_mode, ask)
        if answer is not None:
            self._take_lookup_answer(answer)
        return failure

    def _lookup_answer(self, reply: Reply) -> AIMessage | None:
        """The answer in a reply; what was cut holds neither a look-up nor a decision.

        None where it is to be asked for again, with the room that thoughts need.
        """
        if not reply.messages:
            self._record(reply, "unusable_answer")
            return AIMessage("")
        (answer,) = reply.messages
        thought_anew = self._note_thoughts(reply)
        if not is_cut(answer):
            self._record(reply, OK)
            return answer
        self._record(reply, "cut_off", self._cut_in_words(reply))
        return None if thought_anew else AIMessage("")

    def _take_lookup_answer(self, answer: AIMessage) -> None:
        try:
            calls = calls_of(answer)
        except UnusableAnswer:
            calls = []
        if any(is_lookup(name) for name, _ in calls):
            first = len(self._conversation)
            messages = looked_up(self._question.lookups, calls, first)
            self._conversation = [*self._conversation, *messages]
            self._unseen -= {name for name, _ in calls}
            self._rounds_left = self._rounds_left - 1 if self._unseen else 0
            return
        self._rounds_left = 0
        try:
            self._samples.append(self._plan(answer, self.mode.output_mode))
        except UnusableAnswer:
            return
        self._asked += 1
        self._note_success()

    # --- samples ----------------------------------------------------------------------------------

    def _sample(self) -> FailureName | None:
        """Ask for the samples that are missing: in one request, else at once, one request each.

        Until a mode has proved to work, one request alone is tried.
        """
        missing = self._settings.samples - len(self._samples)
        if self.mode.with_n and not self._one_by_one:
            parts = [missing]
        else:
            parts = [1] * (missing if self._proven else 1)
        unusable: list[_Unusable] = []
        output_mode, failure = self.mode.output_mode, None
        for reply in self._client.send([self._request(wanted) for wanted in parts]):
            failure = self._take(reply, unusable) or failure
        if failure is None and unusable and self.mode.output_mode == output_mode:
            failure = self._send_back(unusable)
            self._give_up_unproven()
        return failure

    def _give_up_unproven(self) -> None:
        """More samples are of no use where one more answer, told what was wrong, held none."""
        if not self._proven:
            leads_on = not self._has_proved_itself and self._lower_rung() is not None
            self._lost |= self._shapeless or leads_on

    def _take(self, reply: Reply, unusable: list[_Unusable]) -> FailureName | None:
        """Keep the plans of a response; answers without one are added to `unusable`."""
        if reply.unsent or reply.error:
            return self._mend(reply)
        if not reply.messages:
            self._record(reply, "unusable_answer", "the answer has no choices")
            self._take_nonsense(reply.request.wanted)
            return None
        if len(reply.messages) < reply.request.wanted:
            self.mode = replace(self.mode, with_n=False)
        thought_anew = self._note_thoughts(reply)
        self._keep_plans(reply, unusable)
        ended = [m for m in reply.messages if is_cut(m) or is_filtered(m)]
        if ended and not thought_anew:  # else asked again, with the room that thoughts need
            self._samples += [None] * len(ended)
            self._lost |= not self._has_proved_itself
        return None

    def _note_thoughts(self, reply: Reply) -> bool:
        """Give a model that is seen to think more room; whether it had less than that."""
        if reply.request.mode.thinks or not any(has_thought(m) for m in reply.messages):
            return False
        self.mode = replace(self.mode, thinks=True)
        return self._settings.token_limit(True) > self._settings.token_limit(False)

    def _cut_in_words(self, reply: Reply) -> str:
        limit = self._client.limit_of(reply.request)
        return cut_in_words(next(m for m in reply.messages if is_cut(m)), limit)

    def _send_back(self, unusable: Sequence[_Unusable]) -> FailureName | None:
        """Answers that are no plan, once, with the reason; those with the same reason together."""
        examples = dict(reversed(unusable))
        counts = Counter(reason for reason, _ in unusable)
        together = self.mode.with_n and not self._one_by_one
        requests = []
        for reason, count in counts.items():
            messages = sent_back(self._conversation, examples[reason], reason)
            parts = [count] if together else [1] * count
            requests += [self._request(wanted, messages) for wanted in parts]
        failure = None
        for reply in self._client.send(requests):
            failure = self._take_second(reply) or failure
        return failure

    def _take_second(self, reply: Reply) -> FailureName | None:
        """Keep the plans of a second answer; a sample without one now counts as failed."""
        if reply.unsent:
            return reply.unsent
        if reply.error is not None:
            failure = name_failure(reply.error)
            self._record(reply, failure, reply.complaint)
            if failure not in ("bad_request", "unusable_answer"):
                self._note_late(reply, failure)
                return failure
            self._samples += [None] * reply.request.wanted
            return None
        self._note_thoughts(reply)
        kept = self._keep_plans(reply, [])
        self._samples += [None] * (reply.request.wanted - kept)
        return None

    # --- shared by all of them --------------------------------------------------------------------

    def _request(self, wanted: int, messages: list[BaseMessage] | None = None) -> Request:
        """A request for samples: of plans alone, look-ups are over by now."""
        tools = self._schemas()
        if self.mode.output_mode in WITH_TOOLS:
            tools = self._question.tools.schemas
        sampling = self._sampling(wanted)
        self._asked += wanted
        return Request(messages or self._conversation, tools, self.mode, sampling, wanted)

    def _schemas(self) -> list[dict[str, Any]]:
        return schemas_for(self._question, self.mode.output_mode, self._settings.max_options)

    def _sampling(self, wanted: int) -> dict[str, Any]:
        """The sampling arguments of the next request."""
        sampling: dict[str, Any] = {"n": wanted} if wanted > 1 else {}
        if self._numbers_samples:
            sampling["first_sample"] = self._asked
        elif self.mode.with_seed:
            # One seed for two requests with the same messages would give the same answer twice.
            sampling["seed"] = (self._settings.seed + self._asked) % _SEED_SPACE
        return sampling

    def _keep_plans(self, reply: Reply, unusable: list[_Unusable]) -> int:
        """Record a reply and keep the plans of its answers; returns how many these are.

        Answers that are no plan are added to `unusable`.
        """
        found: list[Plan | None] = []
        reason = None
        for message in reply.messages:
            if is_cut(message) or is_filtered(message):
                found.append(None)
                self._why = "cut_off" if is_cut(message) else "filtered"
                reason = self._cut_in_words(reply) if is_cut(message) else "stopped by a filter"
                continue
            try:
                found.append(self._plan(message, reply.request.mode.output_mode))
            except UnusableAnswer as error:
                reason = str(error)
                found.append(None)
                unusable.append((reason, quoted(message)))
                self._shapeless |= error.shapeless
        plans = [plan for plan in found if plan is not None]
        ended = bool(found) and all(is_cut(m) or is_filtered(m) for m in reply.messages)
        self._record(
            reply, OK if plans else self._why if ended else "unusable_answer", reason, found
        )
        self._samples += plans
        if plans:
            self._note_success()
        return len(plans)

    def _plan(self, message: AIMessage, output_mode: OutputMode) -> Plan:
        return plan_of(self._question, output_mode, message, self._settings.max_options)

    def _mend(self, reply: Reply) -> FailureName | None:
        """After a rejection go down the ladder; count nonsense as an answer without a plan."""
        if reply.error is None:
            return reply.unsent
        failure = name_failure(reply.error)
        self._record(reply, failure, reply.complaint)
        if is_rejection(reply.error):
            if self._client.leave_out(reply):
                return None  # asked again without what the server has named
            if reply.request.mode != self.mode:
                return None  # another request of the same round has led down already
            simpler = self.mode.after_rejection(reply.complaint)
            if simpler is not None:
                self._change_to(simpler)
                return None
        if failure != "unusable_answer":
            self._note_late(reply, failure)
            return failure
        self._take_nonsense(reply.request.wanted)
        return None

    def _note_late(self, reply: Reply, failure: FailureName) -> None:
        """Where an unproven mode brings no answer in time, the next try is in the next mode."""
        if failure == "timed_out" and reply.request.mode == self.mode and not self._proven:
            lower = None if self._has_proved_itself else self.mode.after_nonsense()
            if lower is not None:
                self._change_to(lower)

    def _take_nonsense(self, wanted: int) -> None:
        """Count a response that cannot be read at all, not even to be sent back.

        One sample like that spoils its whole request: the others are asked for singly.
        """
        if wanted > 1:
            self._one_by_one = True
            return
        self._shapeless = True
        self._lost = not self._proven
        self._samples.append(None)

    def _note_success(self) -> None:
        self._proven, self.worked = True, self.mode
        self.brought.add(self.mode.output_mode)

    def _record(
        self,
        reply: Reply,
        status: str,
        error: str | None = None,
        plans: Sequence[Plan | None] = (),
    ) -> None:
        self.calls.append(self._client.record(reply, self._attempt, status, error, plans))


def _merged(samples: Sequence[Plan | None], wanted: int) -> Advice | None:
    """Equal plans merged, likeliest first; samples without a plan leave their share out."""
    counts = Counter(plan for plan in samples if plan is not None)
    if not counts:
        return None
    ranked = counts.most_common()
    return Advice(tuple(plan for plan, _ in ranked), tuple(n / wanted for _, n in ranked))
