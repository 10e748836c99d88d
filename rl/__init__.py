"""Learning: tasks, advice as labels, policies, rollouts, PPO, and how the teacher is weighed."""
