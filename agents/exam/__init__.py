"""Teachers tried out before anything is trained."""
