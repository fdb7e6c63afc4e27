"""Retries, a failure that is handled downstream, and one that stops the job."""

from routilux import Continue, Flow, Retry, Stop, collect, routine
from routilux.testing import ManualClock

answers = {"a": [ConnectionError("busy"), "A"], "b": ["B"], "c": [ConnectionError("down")] * 4}


@routine
def names():
    yield from answers


@routine(error_strategy=Retry(max_retries=2, delay=30, on=ConnectionError, then=Continue()))
def ask(name):
    answer = answers[name].pop(0)
    if isinstance(answer, Exception):
        raise answer
    return answer


@routine
def give_up(failure):
    return f"{failure.arguments['name']}: {failure.message} (attempt {failure.attempt})"


@routine(fires=collect())
def all_answers(found):
    return sorted(found)


# With a clock that is set by hand, waiting half a minute takes no time.
flow = Flow("questions", clock=ManualClock(), error_strategy=Stop())
flow.chain(names, ask, all_answers)
flow.connect("ask", "error", give_up, "failure")

job = flow.execute("names")
print(job.status, job.results["all_answers"], job.results["give_up"])
print("waited", job.duration, "seconds;", job.counts["ask"].retried, "retries")
