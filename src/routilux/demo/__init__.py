"""The demo job: a flow that examines a tree of Python source, run in every mode there is."""

from routilux.demo.examination import build_flow

__all__ = ["build_flow"]
