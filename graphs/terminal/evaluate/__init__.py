"""`eval` at the terminal."""
