"""What a flow on a cluster costs beyond the same tasks submitted to that cluster by hand."""

from __future__ import annotations

from benchmarks.contenders.ours import Ours
from benchmarks.contenders.port import WORKERS, installed, opened
from benchmarks.measure import Figure, ratio, skipped
from benchmarks.patterns import plain, trivial
from benchmarks.spin import rounds_of

MODE = "distributed"

CLUSTERS = {"dask": ("Dask", "distributed"), "ray": ("Ray", "ray")}
"""By module of `contenders`: its name and package."""


def cluster(name: str, scale: float, repetitions: int) -> list[Figure]:
    """1,000 x 10 ms of Python on two workers, on one and the same cluster."""
    (title, package), pattern = CLUSTERS[name], trivial(max(20, int(1000 * scale)))
    measure = f"{title}: {pattern.tasks:,} x 10 ms of Python on two workers, against submission by hand"
    if not installed(package):
        return [skipped(measure, package)]
    rounds, expected = rounds_of(0.01), plain(pattern, 1)
    with (
        opened(name, pattern) as hand,
        Ours(pattern, execution_mode=MODE, cluster=hand.cluster, max_workers=WORKERS) as flow,
    ):

        def ours() -> int:
            assert flow.run(rounds, 1) == expected
            return 1

        def by_hand() -> int:
            assert hand.run(rounds, 1) == expected
            return 1

        # Each run takes five seconds, which is long enough to say something.
        return [ratio(measure, 1.15, ours, by_hand, max(1, repetitions // 3))]
