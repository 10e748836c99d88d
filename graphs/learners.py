"""The learner nodes: the teacher's advice is tried, turned into labels, and learned from."""

from __future__ import annotations

from collections.abc import Mapping

from langgraph.runtime import Runtime

from graphs.context import RunContext
from graphs.events import Notice
from graphs.recording import trace_visits
from graphs.state import TeachState, Update, known_advice
from rl.advice import Advice, Labels, held, label
from rl.shaping import potentials, shaping_rewards
from rl.student import softmax
from rl.trace import EventRecord
from rl.trace_records import ADVICE_DOUBTED
from rl.trial import Examiner, Trial


def learner(state: TeachState, runtime: Runtime[RunContext]) -> Update:
    """Label the whole rollout in one call, then do the PPO update at the teacher's weight."""
    context = runtime.context
    advice = known_advice(state)
    trial = _tried(context, state, advice)
    labels = imitated = _labels(context, state, trial.followed(advice))
    if labels is not None:
        logits = context.collector.rollout.logits
        policy = softmax(logits.reshape(-1, logits.shape[-1]))
        imitated = held(labels, policy, context.config.weaning.hold)
    return _learn(context, state, labels, imitated) | {"trial": trial.model_dump()}


def shaped_learner(state: TeachState, runtime: Runtime[RunContext]) -> Update:
    """Label the whole rollout in one call, shape its rewards by that, then do the PPO update."""
    context = runtime.context
    advice = known_advice(state)
    trial = _tried(context, state, advice)
    labels = _labels(context, state, trial.followed(advice))
    if labels is not None:
        rollout, settings = context.collector.rollout, context.config
        scale = state["teacher_weight"] * settings.shaping.scale
        phi = potentials(labels, rollout.actions.reshape(-1), scale)
        ended = rollout.terminated | rollout.truncated
        rollout.rewards += shaping_rewards(phi.reshape(ended.shape), ended, settings.ppo.gamma)
    return _learn(context, state, labels, imitated=None) | {"trial": trial.model_dump()}


def _tried(context: RunContext, state: TeachState, advice: Mapping[int, Advice]) -> Trial:
    """The teacher's trial, gone on with where its advice is to be judged: before it is learned."""
    trial = Trial.model_validate(state["trial"])
    if state["teacher_weight"] == 0 or context.config.weaning.schedule != "adaptive":
        return trial
    examiner = Examiner(context.task, context.student, context.config.seed, context.leave_if_late)
    with context.timers.phase("advice"):
        after = examiner.after(trial, advice, state["situations"])
    _tell_verdicts(context, state, trial, after)
    return after


def _tell_verdicts(context: RunContext, state: TeachState, before: Trial, after: Trial) -> None:
    """What the trial has found of the advice, where that is new: for the trace and for people."""
    step = (state["iteration"], state["env_steps"], "learner")
    records = []
    for signature in sorted(set(after.doubted) - set(before.doubted)):
        said = f"advice does worse than the student: {after.turns[str(signature)].told()}"
        records.append(EventRecord(*step, ADVICE_DOUBTED, said, signature))
        where = "; ".join(context.task.describe(signature).splitlines())
        context.tell(Notice(f"not followed any more: {said}; where {where}"))
    if after.trusted != before.trusted:
        kind, said = (
            ("teacher_trusted", "the teacher is followed")
            if after.trusted
            else ("teacher_distrusted", "the teacher is no help so far and is not followed")
        )
        records.append(EventRecord(*step, kind, after.told()))
        context.tell(Notice(f"{said}: {after.told()}"))
    context.trace.events(records)


def _labels(
    context: RunContext, state: TeachState, followed: Mapping[int, Advice]
) -> Labels | None:
    """The teacher's advice on the last rollout's states; None where none is to be followed."""
    if state["teacher_weight"] == 0 or not followed:
        return None
    with context.timers.phase("advice"):
        signatures = context.collector.rollout.signatures.reshape(-1)
        return label(context.task, context.collector.states(), signatures, followed)


def _learn(
    context: RunContext, state: TeachState, labels: Labels | None, imitated: Labels | None
) -> Update:
    """The PPO update, its figures, and what the rollout was to the teacher.

    labels: the advice; imitated: what of it is a term of the loss.
    """
    rollout = context.collector.rollout
    with context.timers.phase("update"):
        progress = state["env_steps"] / context.steps
        done = context.ppo.update(rollout, imitated, state["teacher_weight"], progress)
    with context.timers.phase("record"):
        agreed = trace_visits(context, state, rollout, labels)
    return {
        "train_success": context.collector.log.success,
        "report": {
            "train_return": context.collector.log.mean_return,
            "advised_share": 0.0 if labels is None else float(labels.mass.mean()),
            "agreement": agreed,
            "policy_loss": done.policy_loss,
            "value_loss": done.value_loss,
            "entropy": done.entropy,
            "approx_kl": done.approx_kl,
            "clip_fraction": done.clip_fraction,
            "explained_variance": done.explained_variance,
        },
    }
