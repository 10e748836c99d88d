"""`runs` at the terminal."""
