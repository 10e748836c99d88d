"""One request to a chat model: sent within a budget, on the clock, and recorded."""
