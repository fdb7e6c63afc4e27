"""`routilux report`: a recording as something to look at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.types import ExistingFile

from routilux.errors import RecordingError, SettingError
from routilux.exporters import chrome, html
from routilux.insight.costs import Costs
from routilux.insight.recording import from_json
from routilux.insight.trace import Trace
from routilux.insight.what_if import WhatIf, what_if
from routilux.plurals import counted

EXAMPLES_OF_REPORT = """\
Examples:
  routilux report orders.json                    orders.html, for a browser
  routilux report orders.json -o slow.html       The same under another name
  routilux report orders.json -o orders.json.gz  A Chrome trace, for Perfetto"""

WRONG = 2
FAILED = 1


def report(
    recording: ExistingFile, /, *, output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None
) -> int:
    """Write a recorded job as one HTML file, or as a Chrome trace that Perfetto opens.

    Exits with 1 if the recording cannot be read or the file not be written, and with 2 if it is called wrongly.

    Parameters
    ----------
    recording
        What `routilux run --trace` wrote.
    output
        What to write: a name that ends in .html, or in .json or .json.gz for a Chrome trace. The name of the
        recording with .html if none is given.
    """
    target = output or recording.with_suffix(".html")
    if not target.name.endswith((".html", ".json", ".json.gz")):
        return _refused(f"{target}: the name must end in .html, .json or .json.gz.", WRONG)
    if target.exists() and target.samefile(recording):
        return _refused(f"{target} is the recording itself. Give another name with -o.", WRONG)
    try:
        trace = from_json(recording.read_text(encoding="utf-8"))
        if target.suffix == ".html":
            html.write(trace, target, _forecast(trace))
        else:
            chrome.write(trace, target)
    except (RecordingError, OSError, UnicodeDecodeError) as error:
        return _refused(f"{recording}: {error}" if isinstance(error, RecordingError) else str(error), FAILED)
    print(f"Wrote {target}: {counted(len(trace.attempts), 'attempt')} of {trace.flow_id!r}.")
    return 0


def _forecast(trace: Trace) -> WhatIf | None:
    """What other configurations would give; `None` for a job of which there is no model."""
    try:
        return what_if(trace, Costs())
    except SettingError:
        return None


def _refused(reason: str, code: int) -> int:
    print(f"routilux: {reason}", file=sys.stderr)
    return code
