"""OpenTelemetry: the spans of a recorded job, and the metrics of a tracker."""

from routilux.exporters.otel.metrics import observe
from routilux.exporters.otel.spans import export

__all__ = ["export", "observe"]
