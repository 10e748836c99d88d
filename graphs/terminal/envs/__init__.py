"""`envs` at the terminal."""
