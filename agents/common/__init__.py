"""What all agents need: settings, redaction, safe files."""
