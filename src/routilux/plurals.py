"""How many of something, in words."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """`1 job`, `1,200 jobs`, `2 entries`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("ry") else f"{noun}es" if noun.endswith("ss") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"
