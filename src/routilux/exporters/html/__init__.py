"""A trace as one HTML file that needs no network: `html.write(trace, path)`."""

from routilux.exporters.html.report import render, write

__all__ = ["render", "write"]
