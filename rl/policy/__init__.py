"""The policy: its network, its recurrent state, how it picks actions, and its file."""
