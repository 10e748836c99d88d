"""What several commands share: options, completion, safe text, tables."""
