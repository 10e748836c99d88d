"""One situation put to a chat model: messages, tools, samples, and the plans read out of them."""
