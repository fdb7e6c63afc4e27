"""The pilot flies a simulated flow: it settles near the best, and stays there."""

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from routilux.tuning.load import Load, forecast
from routilux.tuning.pilot import WINDOW, Pilot, Stage
from routilux.tuning.port import MOST_THREADS

CORES = 2


class Plant:
    """A flow that behaves as the model says, but for noise: what was measured of it is off, and so is each window."""

    def __init__(self, service: float, cpu: float, gil: float, breadth: float, seed: int) -> None:
        self.true = Load(1, service, cpu, 1, breadth - 1, 100 * gil, 100 - 100 * gil)
        self._chance = random.Random(seed)

    def solo(self) -> Load:
        """What is measured while it runs in sequence."""
        count = max(8, round(0.1 / self.true.service))
        speed = self._chance.uniform(0.9, 1.1)
        seconds = count * self.true.service * speed
        cpu = count * self.true.cpu * speed * self._chance.uniform(0.97, 1.03)
        return Load(count, seconds, min(cpu, seconds), 1, self.true.others, self.true.python, self.true.native)

    def window(self, workers: int) -> tuple[int, float]:
        """What comes out of it on so many threads: as many activations as can be measured, and how long they took."""
        rate = forecast(self.true, workers, CORES).rate * self._chance.uniform(0.98, 1.02)
        seconds = max(WINDOW, 20 * workers / rate)
        return round(rate * seconds), seconds

    def rate(self, workers: int) -> float:
        return forecast(self.true, workers, CORES).rate


def flown(plant: Plant, steps: int, late: int = 0) -> tuple[Pilot, list[int]]:
    """A pilot after so many measurements, and how many workers there were after each.

    One that is just trying something gets some more of them.
    """
    pilot, seen = Pilot(CORES), []
    while len(seen) < steps or (pilot.stage is not Stage.REST and len(seen) < steps + late):
        if pilot.workers == 1:
            pilot.learn(plant.solo(), 0)
        else:
            pilot.measure(*plant.window(pilot.workers), 0)
        seen.append(pilot.workers)
    return pilot, seen


plants = st.builds(
    lambda service, cpu, gil, breadth, seed: Plant(service, cpu * service, gil, breadth, seed),
    st.sampled_from([30e-6, 300e-6, 3e-3, 30e-3]),
    st.floats(0.01, 1.0),
    st.floats(0.0, 1.0),
    st.sampled_from([1.0, 3.0, float("inf")]),
    st.integers(0, 1000),
)


@given(plants)
def test_it_settles_within_a_fifth_of_the_best(plant: Plant) -> None:
    pilot, _ = flown(plant, 20, late=5)  # Where the gain is just what is asked for, it may be found late.
    most = max(plant.rate(workers) for workers in range(1, MOST_THREADS + 1))
    assert pilot.stage is Stage.REST
    assert plant.rate(pilot.workers) >= most / 1.35


@given(plants)
def test_it_does_not_oscillate(plant: Plant) -> None:
    _, seen = flown(plant, 60)
    changes = [one for one, after in pairwise(seen[20:]) if one != after]
    assert len(changes) <= 3  # where the gain is just what is asked for, it may be found late: a jump, and one trial


@given(st.sampled_from([1e-6, 1e-4, 1e-2]), st.floats(0.95, 1.0), st.integers(0, 1000))
def test_where_nothing_can_be_gained_it_stays_in_sequence(service: float, cpu: float, seed: int) -> None:
    pilot, seen = flown(Plant(service, cpu * service, 1.0, float("inf"), seed), 30)
    assert set(seen) == {1}
    assert pilot.stage is Stage.REST
