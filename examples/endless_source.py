"""A source without an end, read as far as one likes: it is asked only for what is used."""

from itertools import count

from routilux import Flow, routine

asked = []


@routine
def numbers():
    for number in count(2):
        asked.append(number)
        yield number


@routine
def prime(number):
    if all(number % divisor for divisor in range(2, int(number**0.5) + 1)):
        return number
    return None


flow = Flow("primes")
flow.chain(numbers, prime)

with flow.stream("numbers") as primes:
    print([next(primes) for _ in range(10)])
print("asked for", len(asked), "numbers; the job is", primes.job.status)
