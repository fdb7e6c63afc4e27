"""What can be done with the trace of a recorded job: keep it, explain it, ask it what would be faster, compare two."""

from routilux.advice.changes import compare_traces
from routilux.advice.explanation import explain_trace
from routilux.advice.foresight import foresee
from routilux.advice.storage import load_trace, save_trace
from routilux.insight.trace import Trace

__all__ = ["Trace", "compare_traces", "explain_trace", "foresee", "load_trace", "save_trace"]
