"""A run from its start to its summary: set up, driven, saved, resumed."""
