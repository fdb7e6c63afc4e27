"""Auto mode: what looks at a job that runs in sequence, and moves it to where it is faster."""
