"""Load tests: how many jobs a second a flow sustains, how long they take then, and what stops it there."""
