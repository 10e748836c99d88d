"""PPO over options: the student picks one of those on offer, and it runs until it ends.

The nodes are those of `teacher_student`: what differs is the task that they see, whose actions are
options (`rl.tasks.option_mdp`), and so the teacher's advice on options is the label as it stands.
"""

from __future__ import annotations

from tutelage.graphs.teacher_student import build

__all__ = ["build"]
