"""Proximal policy optimisation with the teacher's advice as one more term of the loss."""
