"""`cache` at the terminal."""
