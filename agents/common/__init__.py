"""For all rooms of agents: settings, redaction, addresses, safe files, how it was started."""
