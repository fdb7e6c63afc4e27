"""Benchmarks: each figure is a ratio to a baseline measured in the same process, and counts are asserted."""
