"""The teacher as a graph sees it: cache, planner, fallback, counters."""
