"""Acts and learns: tasks, the remembered map, options, the student, PPO, weaning, evaluation."""
