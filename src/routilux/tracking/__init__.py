"""Reads what happened: the history of a job, and the tracker of a flow."""
