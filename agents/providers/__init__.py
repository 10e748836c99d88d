"""Where chat models come from: LangChain, scripts, recordings, a person."""
