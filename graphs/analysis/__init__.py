"""Analyses of runs: evaluation, comparison, learning curves, traces, benchmarks."""
