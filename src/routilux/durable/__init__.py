"""What is kept of a job outside its process: its facts, what it was submitted with, and the shape of its flow."""
