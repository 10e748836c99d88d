"""The command line: a folder for each noun, with its command and its view."""
