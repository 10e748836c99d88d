"""`config` at the terminal."""
