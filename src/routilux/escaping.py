"""Text from outside, as one that a terminal or a log only shows."""

from __future__ import annotations


def escaped(text: str) -> str:
    """The text with a backslash form of whatever is no letter: controls, colours, line ends, marks of direction."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def escaped_lines(text: str) -> str:
    """As `escaped`, line by line."""
    return "\n".join(map(escaped, text.split("\n")))
