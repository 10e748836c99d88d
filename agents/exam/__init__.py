"""The check of a provider, and the exam of a teacher, before anything is trained."""
