"""Every snippet of the performance guide runs as it was written, around a flow that waits as for a network."""

from __future__ import annotations

import textwrap
import time
from pathlib import Path

import pytest

import routilux
from routilux import collect, routine


def snippets() -> list[str]:
    """The code blocks of the guide."""
    text = (Path(__file__).parent / "snippets.rst").read_text()
    blocks, block = [], []
    for line in [*text.splitlines(), "end"]:
        if line.startswith("    ") or (block and not line.strip()):
            block.append(line)
        elif block:
            blocks.append(textwrap.dedent("\n".join(block)).strip())
            block = []
    return blocks


@routine
def entry_routine():
    yield from range(20)


@routine
def fetch(page):
    time.sleep(0.001)
    return {"page": page, "bytes": 100 * page}


@routine(fires=collect())
def report(pages):
    return sum(page["bytes"] for page in pages)


class PagesFlow(routilux.Flow):
    """The user's flow: whatever its settings, it has these routines; `tracker` is its tracker."""

    latest: PagesFlow

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.chain(entry_routine, fetch, report)
        PagesFlow.latest = self


class Names(dict):
    """The names of the script: `Flow` is the user's, and `tracker` the tracker of the latest one."""

    def __getitem__(self, name):
        if name == "tracker":
            return PagesFlow.latest.execution_tracker
        return PagesFlow if name == "Flow" else super().__getitem__(name)


def test_every_snippet_of_the_guide_runs_as_written(capsys):
    names = Names()
    blocks = snippets()
    assert len(blocks) == 5
    for block in blocks:
        exec(compile(block, "guide.rst", "exec"), names)
        if "job_state" in names and "checked" not in names:
            names["checked"] = True
            assert names["job_state"].status == "completed"
            assert names["job_state"].result == 19_000
            metrics = names["metrics"]
            assert metrics["routines"]["fetch"]["executions"] == 20
            assert metrics["bottleneck"]["routine"] == "fetch"
    assert names["checked"]
    printed = capsys.readouterr().out
    assert "fetch: 0.001s average" in printed or "fetch: 0.00" in printed
    assert PagesFlow.latest.settings.max_workers == 2


@pytest.mark.parametrize("history", [(100, 300), (1000, 3600)])
def test_the_history_limits_of_the_guide_have_their_effect(history):
    size, ttl = history
    job = PagesFlow("my_flow").execute("entry_routine", {}, max_history_size=size, history_ttl_seconds=ttl)
    assert len(job.history) == min(size, 42)
