"""How much others used, from figures of a kernel that is not there."""

from __future__ import annotations

import os

import pytest

from routilux.signals.cpu import cpu_stamp
from routilux.signals.foreign_load import ForeignLoad, cores_between, read

TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@pytest.fixture
def proc(tmp_path):
    """Writes what the kernel would show: busy and idle seconds of all, and those of each process by parent."""

    def write(busy, idle, processes):
        (tmp_path / "stat").write_text(f"cpu  {int(busy * TICKS)} 0 0 {int(idle * TICKS)} 0 0 0 0 0 0\ncpu0 1 1 1\n")
        for number, (parent, used) in processes.items():
            (tmp_path / str(number)).mkdir(exist_ok=True)
            fields = f"S {parent} 0 0 0 0 0 0 0 0 0 {int(used * TICKS)} 0 0 0 20"
            (tmp_path / str(number) / "stat").write_text(f"{number} (a (strange) name) {fields}\n")
        return tmp_path

    return write


def test_what_is_neither_ours_nor_our_childrens_is_foreign(proc):
    own, child, grandchild, stranger = os.getpid(), 10**7, 10**7 + 1, 10**7 + 2
    first = read(proc(100, 100, {own: (1, 1.0), child: (own, 2.0), grandchild: (child, 0.0), stranger: (1, 50.0)}))
    last = read(proc(110, 98, {own: (1, 2.0), child: (own, 4.0), grandchild: (child, 1.0), stranger: (1, 56.0)}))
    assert cores_between(first, last._replace(moment=first.moment + 4)) == pytest.approx((10 - 4) / 4)
    assert cores_between(first, first) is None


def test_where_there_is_no_such_directory_it_is_not_known(tmp_path):
    assert read(tmp_path / "nothing") is None


def test_what_the_kernel_shows_here_can_be_read():
    load = ForeignLoad()
    cores = load.cores()
    assert cores is None or cores >= 0


def test_the_cpu_stamp_counts_what_this_thread_computes():
    before = cpu_stamp()
    while cpu_stamp() - before < 5_000_000:
        sum(range(1000))
    assert cpu_stamp() > before
