"""One source, two branches, joined by key on four threads: what belongs together comes together."""

from routilux import Flow, collect, keyed, routine


@routine
def words(text):
    yield from text.split()


@routine
def length(word):
    return {"word": word, "length": len(word)}


@routine
def vowels(word):
    return {"word": word, "vowels": sum(letter in "aeiou" for letter in word)}


@routine(fires=keyed("word"))
def merge(left, right):
    return left | right


@routine(fires=collect())
def table(rows):
    return sorted(rows, key=lambda row: row["word"])


flow = Flow("words", execution_mode="concurrent", max_workers=4)
flow.connect(words, length)
flow.connect(words, vowels)
flow.connect(length, "output", merge, "left")
flow.connect(vowels, "output", merge, "right")
flow.connect(merge, table)

job = flow.execute("words", {"text": "routines events slots connections"}).raise_for_status()
for row in job.result:
    print(f"{row['word']:12} {row['length']:2} letters, {row['vowels']} vowels")
