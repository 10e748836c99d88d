"""The nodes that graphs are made of, and the routes between them."""
