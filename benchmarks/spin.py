"""Python code that takes a certain time: a number of rounds, not a span of time, so that a worker that gets no
processor takes longer."""

from __future__ import annotations

from time import perf_counter

SAMPLE = 0.005
"""Seconds that one measurement of a round takes."""


def spin(rounds: int) -> int:
    """Computes something for so many rounds."""
    value = 1
    for number in range(rounds):
        value = (value * 31 + number) % 1_000_003
    return value


def rounds_of(seconds: float) -> int:
    """How many rounds take so long here, at the best that was seen."""
    rounds = 1000
    while _seconds(rounds) < SAMPLE:
        rounds *= 2
    return max(1, round(rounds * seconds / min(_seconds(rounds) for _ in range(10))))


def _seconds(rounds: int) -> float:
    began = perf_counter()
    spin(rounds)
    return perf_counter() - began
