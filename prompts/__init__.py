"""Prompt templates that people edit, and the loader that checks them."""
