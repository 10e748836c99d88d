"""`compare` at the terminal."""
