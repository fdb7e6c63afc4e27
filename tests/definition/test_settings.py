"""Settings that follow from other settings."""

import pytest

from routilux import Flow
from routilux.errors import SettingError
from routilux.execution_mode import ExecutionMode
from routilux.settings import Settings
from routilux.suggestions import nearest


def test_workers_of_some_modes_can_be_said_anew_and_those_of_others_stay():
    settings = Settings(max_workers={"concurrent": 3, "asyncio": 5})
    assert settings.with_workers(8).max_workers == {"concurrent": 8, "asyncio": 5}
    assert settings.with_workers(8, 2).max_workers == {"concurrent": 8, "asyncio": 5, "multiprocessing": 2}
    assert Settings(max_workers=3).with_workers(8).max_workers == {"concurrent": 8}


def test_a_number_of_workers_is_for_the_jobs_own_mode():
    assert Settings(max_workers=3).workers_of(ExecutionMode.CONCURRENT, ExecutionMode.CONCURRENT) == 3
    assert Settings(max_workers=3).workers_of(ExecutionMode.ASYNCIO, ExecutionMode.CONCURRENT) is None
    assert Settings(max_workers={"asyncio": 5}).workers_of(ExecutionMode.ASYNCIO, ExecutionMode.CONCURRENT) == 5


def test_what_is_no_setting_of_a_job_may_be_a_first_message():
    flow = Flow("numbers")
    flow.add_routine(lambda n: n, "numbers")
    wanted = (
        r"Flow 'numbers': There is no setting 'n'\. Known: .* Give the first messages .* as entry_params=\{'n': 5\}\.$"
    )
    with pytest.raises(SettingError, match=wanted):
        flow.execute("numbers", n=5)
    with pytest.raises(SettingError, match=r"entry_params=\{'text': \.\.\.\}"):
        flow.start("numbers", text="a secret")
    with pytest.raises(SettingError, match=wanted):
        Flow("numbers", n=5)


def test_a_setting_is_suggested_by_a_word_of_its_name():
    flow = Flow("work")
    flow.add_routine(lambda: None, "work")
    for make in (lambda: flow.execute("work", mode="auto"), lambda: flow.tune("work", mode="auto")):
        with pytest.raises(SettingError, match=r"'mode'\. Did you mean 'execution_mode'\?$"):
            make()
    assert nearest("max", ["max_workers", "max_pending"]) == " Known: 'max_pending', 'max_workers'."


@pytest.mark.parametrize(("store", "shown"), [(3, "3"), (["jobs.db"], "a list"), (True, "True")])
def test_a_store_that_is_none_is_refused_with_what_can_be_one(store, shown):
    flow = Flow("stored")
    flow.add_routine(lambda: None, "work")
    wanted = f"^Flow 'stored': store must be the path of a file, as \"jobs.db\", .* or None, not {shown}\\.$"
    for make in (
        lambda: Flow("stored", store=store),
        lambda: flow.execute("work", store=store),
        lambda: next(flow.map("work", [{}], store=store)),
        lambda: flow.recover(store=store),
    ):
        with pytest.raises(SettingError, match=wanted):
            make()
