"""What runs handlers: one file for each way."""
