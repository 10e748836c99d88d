"""`watch` at the terminal."""
