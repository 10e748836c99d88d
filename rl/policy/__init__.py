"""The student's policy: its network, its recurrent state, how it picks actions, its file."""
