"""The configuration of a run, and what a run tells those who watch."""
