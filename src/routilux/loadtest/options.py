"""What a load test is to do; with the same options and seed the same jobs are started at the same moments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from routilux.errors import SettingError
from routilux.loadtest.arrivals import Arrivals, Poisson, arrivals_named, replayed
from routilux.loadtest.objective import Objective, objectives_named
from routilux.loadtest.quantities import seconds_named

POISSON = Poisson()


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Validated at birth; `SettingError` names the option that means nothing."""

    arrivals: Arrivals = POISSON
    users: int | None = None
    """So many callers, each of whom waits for a job before starting the next; `None`: jobs start when they are due."""
    think: float = 0.0
    """Seconds between the end of a user's job and the start of the next."""
    rate: float | None = None
    """The one rate to try, in place of a search."""
    objectives: tuple[Objective, ...] = ()
    soak: float | None = None
    """Seconds to go on at the end."""
    step_seconds: float = 3.0
    """The least length of a step."""
    max_rate: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.users is not None and (type(self.users) is not int or self.users < 1):
            raise SettingError(f"users must be a whole number from 1, or None, not {self.users!r}.")
        if type(self.seed) is not int:
            raise SettingError(f"seed must be a whole number, not {self.seed!r}.")
        for name in ("rate", "max_rate", "soak", "step_seconds"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int | float) or isinstance(value, bool) or not value > 0):
                raise SettingError(f"{name} must be more than 0, not {value!r}.")
        if self.users is not None and (self.rate is not None or any(one.rate is not None for one in self.objectives)):
            raise SettingError("users start jobs when theirs are over, so no rate can be asked of them: leave out one.")
        if self.users is None and self.think:
            raise SettingError("think is what users do between two jobs: say how many users there are.")

    @property
    def rates(self) -> tuple[float, ...]:
        """The rates to try in place of a search: the one asked for, and those of objectives; the lowest first."""
        asked = {one.rate for one in self.objectives if one.rate is not None}
        return tuple(sorted(asked if self.rate is None else {*asked, self.rate}))

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "arrivals": None if self.users is not None else str(self.arrivals),
            "users": self.users,
            "think": self.think,
            "rate": self.rate,
            "slo": [str(one) for one in self.objectives],
            "soak": self.soak,
            "step_seconds": self.step_seconds,
            "max_rate": self.max_rate,
            "seed": self.seed,
        }


def options_of(
    *,
    arrivals: str | Iterable[float] = "poisson",
    users: int | None = None,
    think: float | str = 0.0,
    rate: float | None = None,
    slo: str | Iterable[str] | None = None,
    soak: float | str | None = None,
    step_seconds: float | str = 3.0,
    max_rate: float | None = None,
    seed: int = 0,
) -> Options:
    """The options as people write them: durations as "30m", objectives as "p99=50ms@100/s"."""
    return Options(
        arrivals=arrivals_named(arrivals) if isinstance(arrivals, str) else replayed(list(arrivals)),
        users=users,
        think=seconds_named("think", think),
        rate=rate,
        objectives=objectives_named(slo),
        soak=None if soak is None else seconds_named("soak", soak),
        step_seconds=seconds_named("step_seconds", step_seconds),
        max_rate=max_rate,
        seed=seed,
    )
