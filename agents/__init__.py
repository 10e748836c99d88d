"""Thinks: verbaliser, option tools, planner, providers, plan cache, fallback."""
