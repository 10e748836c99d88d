"""What is found out from runs: tests, comparisons, curves, replays."""
