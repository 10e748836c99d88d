"""Small students of every kind, and observations for them."""

from __future__ import annotations

import numpy as np

from tutelage.rl.policy.policy import Policy, make_policy
from tutelage.rl.policy.settings import StudentSettings
from tutelage.rl.tasks.base import Observation, ObservationSpec

SMALL = StudentSettings(body="dense", hidden=16, embedding=3)
ATTRIBUTES = ((0, 0), (1, 0), (2, 1), (2, 2), (3, 1), (3, 2))
CONV = StudentSettings(body="conv", hidden=16, embedding=3, crop=7)
KINDS: dict[str, tuple[ObservationSpec, StudentSettings]] = {
    "features": (ObservationSpec(0, 0, 0, 5), SMALL),
    "codes": (ObservationSpec(3, 4, 6, 0), SMALL),
    "dense": (ObservationSpec(3, 4, 6, 5), SMALL),
    "attributes": (ObservationSpec(3, 4, 6, 5, ATTRIBUTES), SMALL),
    "conv": (ObservationSpec(7, 6, 6, 5), CONV),
    "smallest conv": (ObservationSpec(5, 5, 6, 5), CONV),
}


def student_of(kind: str, seed: int = 0, num_actions: int = 3) -> Policy:
    """A new student of one of the kinds."""
    spec, network = KINDS[kind]
    return make_policy("a task", spec, num_actions, network, "cpu", seed)


def observations_for(spec: ObservationSpec, rows: int = 20) -> Observation:
    """Random observations that a student of that kind can be shown."""
    rng = np.random.default_rng(3)
    codes = rng.integers(0, max(spec.num_codes, 1), (rows, spec.height, spec.width))
    features = rng.normal(size=(rows, spec.features))
    return Observation(codes.astype(np.uint8), features.astype(np.float32))
