"""The seam between a task and everything above it: situations, options, states, wrappers."""
