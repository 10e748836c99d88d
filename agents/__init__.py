"""A teacher made of a chat model: client, planner, plan cache, providers, fallback chain."""
