"""What people see at the terminal: live progress, tables, traces. Nothing here decides anything."""
