"""The command line's commands, by noun. Heavy imports happen inside them: `--help` is quick."""
