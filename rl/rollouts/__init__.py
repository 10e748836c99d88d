"""All that plays: collecting rollouts, evaluating, the teacher acting alone."""
