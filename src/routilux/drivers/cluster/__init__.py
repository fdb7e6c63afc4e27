"""The driver of distributed mode, and one adapter for each kind of cluster."""
