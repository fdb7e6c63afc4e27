"""`make bench-insight`: what the engine says of flows whose costs are known, against what is measured."""
