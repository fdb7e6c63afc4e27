"""The smallest flow: two functions, one after the other."""

from routilux import Flow, routine


@routine
def greet(name):
    return f"Hello, {name}"


@routine
def shout(text):
    return text.upper() + "!"


flow = Flow("hello")
flow.chain(greet, shout)

job = flow.execute("greet", {"name": "world"})
print(job.status, job.result)
print(flow.describe())
