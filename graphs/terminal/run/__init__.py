"""`run` at the terminal."""
