"""For all rooms of agents: settings, redaction, safe files, how the program was started."""
