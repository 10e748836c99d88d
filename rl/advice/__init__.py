"""What a teacher said, and what that means in a state."""
