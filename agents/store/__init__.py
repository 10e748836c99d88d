"""Answers that are kept: the plan cache and recordings."""
