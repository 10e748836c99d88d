"""The teacher's advice as potential-based shaping of the reward, which leaves the optimum alone.

A potential Phi(s, a) says how much the teacher is for an action. It is paid when the action is
done and taken back, with interest, at the next step:

    F_t = Phi(s_t, a_t) - Phi(s_{t-1}, a_{t-1}) / gamma,     Phi before the first step = 0

This is the look-back advice of Wiewiora, Cottrell & Elkan 2003 ("Principled Methods for Advising
Reinforcement Learning Agents", ICML), who carry the potentials of Ng, Harada & Russell 1999
("Policy Invariance Under Reward Transformations", ICML) over from states to actions. With
Phi = 0 at an episode's last step (Grzes 2017, "Reward Shaping in Episodic Reinforcement Learning")
the terms telescope: from any step t on, the discounted sum of F is -Phi(s_{t-1}, a_{t-1}) / gamma,
whatever is done from t on. It shifts every action's return alike, so the best policy stays best.

Their look-ahead advice, gamma Phi(s', a') - Phi(s, a), does not serve a policy gradient: it lowers
an action's return by its own potential (Xiao et al. 2019, "Potential-Based Advice for Stochastic
Policy Learning"), and it needs the potential after a time-out, where no state is recorded.

GAE discounts what is taken back by its lambda, which leaves the share 1 - lambda of an advised
action's potential with its advantage until the critic has learned the terms. So shaping speeds
learning up where lambda is well below 1, and only at first; docs/teachers.md has figures.
"""

from __future__ import annotations

import numpy as np

from tutelage.rl.advice.labels import Labels
from tutelage.rl.tasks.action_targets import ActionTargets
from tutelage.rl.tasks.arrays import ActionArray, BoolArray, FloatArray


def potentials(
    kind: ActionTargets, labels: Labels, actions: ActionArray, scale: float
) -> FloatArray:
    """Phi = scale * m(s) * pi_T(a | s) of what was done, float32 [B]. actions: [B, ...].

    In a Box, pi_T(a | s) is relative to its greatest density, so that Phi stays below `scale`.
    """
    advised = kind.favour(labels.targets, actions)
    return np.asarray(scale * labels.coverage * advised, dtype=np.float32)


def shaping_rewards(phi: FloatArray, ended: BoolArray, gamma: float) -> FloatArray:
    """The F of a rollout's steps, float32 [T, N].

    phi: float32 [T, N]; ended: bool [T, N], whether the episode ended with the step, truly or by a
    time-out. The rollout's last step counts as an end too: what would be paid there is taken back
    in a rollout that a GAE does not see. gamma: above 0.
    """
    paid = np.where(ended, 0.0, phi)
    paid[-1] = 0.0
    taken_back = np.zeros_like(paid)
    taken_back[1:] = paid[:-1] / gamma
    return np.asarray(paid - taken_back, dtype=np.float32)
