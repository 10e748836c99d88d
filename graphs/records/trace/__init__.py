"""The trace: what the teacher was asked and answered, and what the student made of it."""
