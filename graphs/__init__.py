"""Who goes when: typed state, nodes, one file for each graph, the registry."""
