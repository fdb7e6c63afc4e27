"""Small operations in batches: one insert for ten rows, and what is left at the end."""

from routilux import Flow, batch, routine


@routine
def rows(n):
    for number in range(n):
        yield {"id": number}


@routine(fires=batch(10))
def insert(batch_of_rows):
    first, last = batch_of_rows[0]["id"], batch_of_rows[-1]["id"]
    return f"inserted {len(batch_of_rows):2} rows, {first} to {last}"


flow = Flow("inserts")
flow.chain(rows, insert)

for line in flow.stream("rows", {"n": 34}):
    print(line)
