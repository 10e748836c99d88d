"""How much the teacher counts: the weight schedule, its check, mixed play, shaping, scouting."""
