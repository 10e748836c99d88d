"""The prompt templates, and what fills them in."""
