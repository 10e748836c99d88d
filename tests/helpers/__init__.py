"""What several tests share: tasks, servers, runs and judges, each once."""
