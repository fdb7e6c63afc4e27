"""What modes cost is measured once, and kept."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import partial

import pytest

from routilux import Flow
from routilux.errors import SettingError
from routilux.insight.costs import Costs
from routilux.signals.calibration import MEASURES, cache_directory, cached_costs, calibrate

HERE = list(MEASURES)


@pytest.mark.parametrize("mode", HERE)
def test_each_cost_of_a_mode_is_measured_with_flows_that_do_nothing(mode):
    costs = MEASURES[mode](partial(Flow, execution_mode=mode))
    assert set(costs) <= {field.name for field in fields(Costs)}
    assert all(cost >= 0 for cost in costs.values())
    assert any(cost > 0 for cost in costs.values())


def nowhere(flow_id, **settings):
    """Stands for a platform on which no mode can run."""
    raise SettingError("not here")


def measured_again(flow_id, **settings):
    raise AssertionError("the costs were kept")


def test_a_mode_that_cannot_run_here_keeps_the_usual_cost():
    assert calibrate(nowhere) == Costs()


def test_costs_are_kept_and_read_the_next_time(tmp_path):
    directory = tmp_path / "cache"
    assert cached_costs(nowhere, directory) == Costs()
    (kept,) = directory.iterdir()
    kept.write_text(json.dumps({**json.loads(kept.read_text()), "thread": 0.5}))
    assert cached_costs(measured_again, directory).thread == 0.5


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"thread": "fast"}'])
def test_costs_that_cannot_be_read_are_measured_again(tmp_path, text):
    cached_costs(nowhere, tmp_path)
    (kept,) = tmp_path.iterdir()
    kept.write_text(text)
    assert cached_costs(nowhere, tmp_path) == Costs()
    assert json.loads(kept.read_text())["thread"] == Costs().thread


def test_where_nothing_can_be_kept_costs_are_measured_each_time(tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert cached_costs(nowhere, tmp_path / "file" / "cache") == Costs()


def test_costs_are_kept_in_a_directory_of_the_package():
    assert cache_directory().name == "routilux"
