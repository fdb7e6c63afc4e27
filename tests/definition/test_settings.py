"""Settings that follow from other settings."""

from routilux.execution_mode import ExecutionMode
from routilux.settings import Settings


def test_workers_of_some_modes_can_be_said_anew_and_those_of_others_stay():
    settings = Settings(max_workers={"concurrent": 3, "asyncio": 5})
    assert settings.with_workers(8).max_workers == {"concurrent": 8, "asyncio": 5}
    assert settings.with_workers(8, 2).max_workers == {"concurrent": 8, "asyncio": 5, "multiprocessing": 2}
    assert Settings(max_workers=3).with_workers(8).max_workers == {"concurrent": 8}


def test_a_number_of_workers_is_for_the_jobs_own_mode():
    assert Settings(max_workers=3).workers_of(ExecutionMode.CONCURRENT, ExecutionMode.CONCURRENT) == 3
    assert Settings(max_workers=3).workers_of(ExecutionMode.ASYNCIO, ExecutionMode.CONCURRENT) is None
    assert Settings(max_workers={"asyncio": 5}).workers_of(ExecutionMode.ASYNCIO, ExecutionMode.CONCURRENT) == 5
