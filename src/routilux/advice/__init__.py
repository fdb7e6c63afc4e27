"""What is said of a recorded job, and of what to do about it."""
