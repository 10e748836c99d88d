"""`prompts` at the terminal."""
