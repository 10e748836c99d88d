"""`providers` at the terminal."""
