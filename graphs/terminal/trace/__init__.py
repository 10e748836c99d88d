"""`trace` at the terminal."""
