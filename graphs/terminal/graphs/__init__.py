"""`graphs` at the terminal."""
