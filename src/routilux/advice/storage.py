"""Recordings as files."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from routilux.errors import RecordingError
from routilux.insight.recording import from_json, to_json
from routilux.insight.trace import Trace


def save_trace(trace: Trace, path: str | PathLike[str]) -> None:
    """Writes a trace as JSON; what is there is replaced only once all of it is written."""
    wanted = Path(path)
    fresh = wanted.with_name(f".{wanted.name}.part")
    fresh.write_text(to_json(trace), encoding="utf-8")
    fresh.replace(wanted)


def load_trace(path: str | PathLike[str], flow_id: str | None = None) -> Trace:
    """The trace in a file; raises `RecordingError` where there is none, or, with `flow_id`, one of another flow."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise RecordingError(
            f"There is no recording {str(path)!r} that can be read: {error.strerror}. "
            "Make one with: routilux run module:flow --entry ... --trace FILE"
        ) from error
    except UnicodeDecodeError as error:
        raise RecordingError(f"{str(path)!r} is no recording: it is not even text.") from error
    return from_json(text, flow_id)
