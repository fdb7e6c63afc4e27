"""Writes recorded jobs and a tracker's figures in the formats of others; nothing else depends on it."""
