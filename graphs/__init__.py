"""Who goes when: the graphs, and all that a run of them needs."""
